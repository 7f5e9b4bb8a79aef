"""mathrl: rewards, evaluation and reinforcement learning for mathematical reasoning."""

__version__ = "0.1.0"
