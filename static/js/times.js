/* Times tick here, not by messages from the server: `data-ago` shows an age, `data-lasting` how long
   something has lasted already, `data-at` a moment in the zone that the reader has chosen. Without
   scripts they stand as they are: clock times, UTC. */
const umbelTimes = (() => {
  const KEY = "umbel_zone"; // nothing: that of the browser
  const AGES = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const MINUTE = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const CLOCK = { ...MINUTE, second: "2-digit" };
  const MILLI = { ...CLOCK, fractionalSecondDigits: 3 };
  const DAY = { month: "short", day: "numeric" };
  const FORMS = {
    clock: CLOCK,
    exact: MILLI,
    minute: { ...DAY, ...MINUTE },
    stamp: { ...DAY, ...CLOCK },
    moment: { year: "numeric", ...DAY, ...MILLI },
    day: DAY,
    hour: MINUTE,
    offset: { timeZoneName: "shortOffset" },
  };

  const root = document.documentElement;
  const units = root.dataset.units.split("|").map((unit, place) => [unit, AGES[place][1]]);
  const ages = new Intl.RelativeTimeFormat(root.lang, { style: "narrow" });
  const now = new Intl.RelativeTimeFormat(root.lang, { numeric: "auto" }).format(0, "second");
  let made = new Map();

  function zone() {
    try {
      return localStorage.getItem(KEY) || undefined;
    } catch {
      return undefined; // a browser that keeps nothing
    }
  }

  function form(name) {
    if (!made.has(name)) {
      const wanted = { ...FORMS[name], timeZone: zone() };
      try {
        made.set(name, new Intl.DateTimeFormat(root.lang, wanted));
      } catch {
        made.set(name, new Intl.DateTimeFormat(root.lang, { ...wanted, timeZone: "UTC" }));
      }
    }
    return made.get(name);
  }

  /* `UTC+9` at that moment: a zone has another one in summer. */
  function offset(at) {
    const parts = form("offset").formatToParts(at);
    return parts.find((part) => part.type === "timeZoneName").value.replace(/GMT(\+0$)?/, "UTC");
  }

  const exact = (at) => `${form("moment").format(at)} ${offset(at)}`;
  const hour = (at) => (form("hour").format(at) === "00:00" ? form("day") : form("hour")).format(at);

  function span(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const say = (place, number) => units[place][0].replace("{}", number);
    const place = units.findIndex(([, size]) => whole >= size);
    if (place < 0 || place === units.length - 1) return say(units.length - 1, whole);
    const [size, smaller] = [units[place][1], units[place + 1][1]];
    const rest = Math.floor((whole % size) / smaller);
    const first = say(place, Math.floor(whole / size));
    return rest ? `${first} ${say(place + 1, rest)}` : first;
  }

  function age(seconds) {
    const [unit, size] = AGES.find((each) => Math.abs(seconds) >= each[1]) || AGES.at(-1);
    const whole = Math.floor(Math.abs(seconds) / size);
    return whole ? ages.format(seconds < 0 ? whole : -whole, unit) : now;
  }

  function words(node, at, time) {
    const { ago, lasting, at: wanted } = node.dataset;
    if (lasting !== undefined) return span((time - at) / 1000);
    if (ago !== undefined) return age((time - at) / 1000);
    if (wanted === "tick") return hour(at);
    return wanted === "clock" ? `${form("clock").format(at)} ${offset(at)}` : form(wanted).format(at);
  }

  const momentOf = (node) => (node.dateTime ? Date.parse(node.dateTime) : Number(node.dataset.moment) * 1000);

  function tickIn(part, selector, time) {
    for (const node of part.querySelectorAll(selector)) {
      const at = momentOf(node);
      const text = Number.isNaN(at) ? node.textContent : words(node, at, time);
      if (node.textContent !== text) node.textContent = text;
    }
  }

  const TICKING = "time[data-ago], time[data-lasting]";
  const tick = () => document.hidden || tickIn(document, TICKING, Date.now());

  function show() {
    tickIn(document, "[data-at]", Date.now());
    const here = offset(Date.now());
    for (const node of document.querySelectorAll("[data-zone]")) {
      if (node.textContent !== here) node.textContent = here;
    }
    tick();
  }

  function choose(wanted) {
    try {
      if (wanted) localStorage.setItem(KEY, wanted);
      else localStorage.removeItem(KEY);
    } catch {
      return;
    }
    made = new Map();
    document.dispatchEvent(new CustomEvent("umbel:times"));
  }

  document.addEventListener("umbel:rows", (event) => {
    const time = Date.now();
    for (const row of event.detail) tickIn(row, TICKING, time);
  });

  /* The exact moment is put on what is pointed at, not on every time of every row that changes. */
  document.addEventListener("pointerover", (event) => {
    const node = event.target.closest("time[datetime]");
    if (node && !Number.isNaN(momentOf(node))) node.title = exact(momentOf(node));
  });

  addEventListener("storage", (event) => {
    if (event.key !== KEY && event.key !== null) return;
    made = new Map();
    document.dispatchEvent(new CustomEvent("umbel:times"));
  });
  for (const name of ["umbel:changed", "umbel:times"]) document.addEventListener(name, show);
  document.addEventListener("visibilitychange", tick);
  show();
  setInterval(tick, 1000);
  return { zone, choose, form, offset, exact };
})();
