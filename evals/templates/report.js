"use strict";
// Everything a model wrote goes into the page as text nodes and as MathML elements that are built
// by name; nothing is ever parsed as markup.
(() => {
  const PAGE_SIZE = 50;
  const MATHML = "http://www.w3.org/1998/Math/MathML";
  const byId = (id) => document.getElementById(id);

  function make(tag, className, ...children) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
  }

  function setUpTheme() {
    const themes = ["auto", "light", "dark"];
    const button = byId("theme");
    let index = 0;
    button.hidden = false;
    button.addEventListener("click", () => {
      index = (index + 1) % themes.length;
      document.documentElement.dataset.theme = themes[index];
      button.textContent = `Theme: ${themes[index]}`;
    });
  }

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  function start(data) {
    const form = byId("filters");
    const filters = form.elements;
    const problems = data.tasks.flatMap((task) =>
      task.problems.map((problem) => ({ ...problem, task: task.title })));
    const haystacks = new Map();
    let found = [];
    let page = 0;

    const plain = (parts) =>
      parts.map((part) => (typeof part === "string" ? part : data.formulas[part][0])).join("");

    function mathElement([tag, attributes, ...children]) {
      const element = document.createElementNS(MATHML, tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      element.append(...children.map((c) => (typeof c === "string" ? c : mathElement(c))));
      return element;
    }

    function render(parts) {
      if (filters.source.checked) return [plain(parts)];
      const isBlock = (part) => typeof part === "number" && "display" in data.formulas[part][1][1];
      return parts.map((part, index) => {
        if (typeof part === "number") return mathElement(data.formulas[part][1]);
        // A formula on a line of its own brings its own space.
        const text = isBlock(parts[index + 1]) ? part.trimEnd() : part;
        return isBlock(parts[index - 1]) ? text.replace(/^\n+/, "") : text;
      });
    }

    // Filters

    function fill(name, values, all) {
      const select = filters[name];
      const choices = [["", all], ...values];
      select.replaceChildren(...choices.map(([value, label]) => new Option(label, value)));
      select.parentElement.hidden = values.length < 2;
    }

    const distinct = (values) => [...new Set(values)].filter((value) => value !== undefined);
    const named = (values) => distinct(values).sort().map((v) => [v, v.replaceAll("_", " ")]);

    function setUpFilters() {
      fill("task", data.tasks.map((task) => [task.title, task.title]), "all");
      fill("run", data.runs.map((run, index) => [String(index), run]), "any");
      const samples = problems.flatMap((p) => p.runs.flatMap((run) => (run ? run.samples : [])));
      fill("status", named(samples.map((sample) => sample.status)), "any");
      fill("subject", named(problems.map((problem) => problem.subject)), "any");
      fill("level", named(problems.map((problem) => problem.level)), "any");
      const others = data.runs.slice(1);
      fill("change", others.flatMap((run, index) => {
        const suffix = others.length > 1 ? ` in ${run}` : "";
        return ["fixed", "broken", "same"].map((kind) => [`${index} ${kind}`, kind + suffix]);
      }), "any");
      filters.cut.parentElement.hidden = !samples.some((sample) => sample.cut);
      form.hidden = false;
    }

    function haystack(sample) {
      if (!haystacks.has(sample)) {
        haystacks.set(sample, `${plain(sample.text)}\n${plain(sample.read ?? [])}`.toLowerCase());
      }
      return haystacks.get(sample);
    }

    function question(problem) {
      if (!haystacks.has(problem)) {
        const text = [problem.id, plain(problem.question), plain(problem.answer)].join("\n");
        haystacks.set(problem, text.toLowerCase());
      }
      return haystacks.get(problem);
    }

    /** The samples of a run of a problem that pass the filters that are about samples. */
    function matching(problem, runIndex) {
      const run = problem.runs[runIndex];
      if (!run || (filters.run.value && filters.run.value !== String(runIndex))) return [];
      const query = filters.query.value.trim().toLowerCase();
      const isAsked = query === "" || question(problem).includes(query);
      return run.samples.filter((sample) =>
        (!filters.status.value || sample.status === filters.status.value) &&
        (!filters.cut.checked || sample.cut) &&
        (isAsked || haystack(sample).includes(query)));
    }

    function isShown(problem) {
      const [index, change] = filters.change.value.split(" ");
      return (!filters.task.value || problem.task === filters.task.value) &&
        (!filters.subject.value || problem.subject === filters.subject.value) &&
        (!filters.level.value || problem.level === filters.level.value) &&
        (!change || problem.changes[index] === change) &&
        problem.runs.some((_, runIndex) => matching(problem, runIndex).length > 0);
    }

    // List

    function mark(run) {
      if (!run) return make("span", "soft", "–");
      const kind = run.n === 0 ? "" : run.c === run.n ? "good" : run.c === 0 ? "bad" : "";
      if (run.n === 1) return make("span", `verdict ${kind}`, run.c ? "correct" : "not correct");
      return make("span", `verdict ${kind}`, `${run.c} of ${run.n}`);
    }

    function showSample(sample, place) {
      const verdict = sample.status === "correct" ? "good" : "bad";
      const line = make("p", "answer",
        make("span", `verdict ${verdict}`, sample.status.replaceAll("_", " ")));
      if (sample.cut) line.append(" ", make("span", "verdict bad", "cut off"));
      if (sample.read) line.append(" ", make("span", "soft", "read as "), make("bdi", "", ...render(sample.read)));
      const details = [];
      if (sample.cue) details.push(`by ${sample.cue.replaceAll("_", " ")}`);
      if (sample.tokens !== undefined) details.push(`${sample.tokens} tokens`);
      if (sample.reward !== undefined) details.push(`reward ${sample.reward.toPrecision(4)}`);
      if (details.length) line.append(" ", make("span", "soft", details.join(", ")));
      const parts = [line];
      if (sample.reason) parts.push(make("p", "answer soft", make("bdi", "", sample.reason)));
      const text = make("div", `text completion ${verdict}`, ...render(sample.text));
      text.tabIndex = 0;
      place.replaceChildren(...parts, text);
    }

    function runColumn(problem, runIndex) {
      const run = problem.runs[runIndex];
      const column = make("section", "", make("h3", "", data.runs[runIndex]));
      if (!run || run.samples.length === 0) {
        column.append(make("p", "soft", "no sample in this page"));
        return column;
      }
      const place = make("div");
      const first = matching(problem, runIndex)[0] ?? run.samples[0];
      const buttons = run.samples.map((sample) => {
        const button = make("button", sample.status === "correct" ? "good" : "bad", String(sample.index + 1));
        button.type = "button";
        button.title = sample.status.replaceAll("_", " ");
        button.setAttribute("aria-label", `sample ${sample.index + 1}, ${button.title}`);
        button.addEventListener("click", () => choose(sample, button));
        return button;
      });
      function choose(sample, button) {
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        showSample(sample, place);
      }
      choose(first, buttons[run.samples.indexOf(first)]);
      if (buttons.length > 1) column.append(make("div", "picks", ...buttons));
      column.append(place);
      return column;
    }

    function body(problem) {
      const facts = [problem.id, problem.subject, problem.level && `level ${problem.level}`]
        .filter(Boolean).join(" · ");
      return make("div", "body",
        make("div", "id", make("bdi", "", facts)),
        make("div", "text", ...render(problem.question)),
        make("p", "answer", make("span", "soft", "known answer "), make("bdi", "", ...render(problem.answer))),
        make("div", "pair", ...data.runs.map((_, index) => runColumn(problem, index))));
    }

    function row(problem) {
      const marks = make("span", "marks");
      for (const change of distinct(problem.changes)) {
        if (change === "fixed" || change === "broken") marks.append(make("span", `tag ${change}`, change));
      }
      marks.append(...problem.runs.map(mark));
      const details = make("details", "problem",
        make("summary", "", make("bdi", "snippet", plain(problem.question).slice(0, 300)), marks));
      details.addEventListener("toggle", () => {
        if (details.open && details.childElementCount === 1) details.append(body(problem));
      });
      return details;
    }

    function showPage() {
      const last = Math.max(Math.ceil(found.length / PAGE_SIZE) - 1, 0);
      page = Math.min(Math.max(page, 0), last);
      byId("list").className = filters.source.checked ? "as-written" : "";
      byId("list").replaceChildren(
        ...found.slice(page * PAGE_SIZE, (page + 1) * PAGE_SIZE).map(row));
      byId("pages").hidden = last === 0;
      byId("page").textContent = `${page + 1} of ${last + 1}`;
      byId("previous").disabled = page === 0;
      byId("next").disabled = page === last;
    }

    function search() {
      found = problems.filter(isShown);
      page = 0;
      byId("count").textContent = `${found.length} of ${problems.length} problems`;
      showPage();
    }

    function turn(step) {
      page += step;
      showPage();
      byId("filters").scrollIntoView();
    }

    let waiting = 0;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(search, 120);
    });
    byId("previous").addEventListener("click", () => turn(-1));
    byId("next").addEventListener("click", () => turn(1));
    setUpFilters();
    search();
  }

  setUpTheme();
  const packed = byId("data");
  if (packed) {
    unpack(packed.textContent).then(start).catch((error) => {
      byId("count").textContent = `The samples cannot be shown in this browser (${error}).`;
    });
  }
})();
