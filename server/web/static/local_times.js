// Shows every <time> in the viewer's own zone and language; UTC stays in its title. Without this script the page shows UTC.
"use strict";
(() => {
  // English puts the day first or the month, and 05/04 does not say which: there it is year, month, day (ISO 8601), as sv-SE writes it.
  const told = document.documentElement.lang || undefined;
  const language = told === "en" ? "sv-SE" : told;
  const day = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const plain = new Intl.DateTimeFormat(language, day);
  const precise = new Intl.DateTimeFormat(language, { ...day, fractionalSecondDigits: 3 });

  function localise(root) {
    for (const element of root.querySelectorAll("time[datetime]:not([title])")) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      element.title = element.textContent;
      const text = (/\d\.\d{3} UTC$/.test(element.title) ? precise : plain).format(moment);
      element.textContent = told === "en" ? text.replace(",", ".") : text; // as English writes milliseconds
    }
  }

  localise(document);
  const zone = document.getElementById("zone");
  if (zone) zone.textContent = `${zone.dataset.local} ${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
})();
