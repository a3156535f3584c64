/* The menu of language and time: the zones that this browser knows, listed when it is opened. The
   language is a plain form, which needs none of this. */
(() => {
  const menu = document.getElementById("reader");
  const select = menu && menu.querySelector("[data-zones]");
  if (!select || !Intl.supportedValuesOf) return;
  menu.querySelector("[data-zones-place]").hidden = false;

  function fill() {
    if (select.options.length) return;
    const own = new Intl.DateTimeFormat().resolvedOptions().timeZone;
    const zones = Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC");
    select.add(new Option(select.dataset.zones.replace("{}", own), ""));
    for (const zone of ["UTC", ...zones]) select.add(new Option(zone.replaceAll("_", " "), zone));
    select.value = umbelTimes.zone() || "";
    if (select.selectedIndex < 0) select.value = "";
  }

  menu.addEventListener("beforetoggle", fill);
  select.addEventListener("change", () => umbelTimes.choose(select.value));
})();
