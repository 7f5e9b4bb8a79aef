"""The bridge to lm-eval, both ways: our tasks under its command, its tasks under ours."""
