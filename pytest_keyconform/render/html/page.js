"use strict";
(() => {
  const form = document.querySelector(".filters");
  const cards = [...document.querySelectorAll(".card")];
  document.documentElement.classList.add("scripted");

  const texts = new Map(cards.map((card) => [card, card.textContent.toLowerCase()]));

  function filter() {
    const standings = new Set([...form.elements.standing.length ? form.elements.standing : [form.elements.standing]]
      .filter((box) => box.checked).map((box) => box.value));
    const family = form.elements.family.value;
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      const fits = standings.has(card.dataset.standing) && (!family || card.dataset.family === family)
        && words.every((word) => texts.get(card).includes(word));
      card.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    form.elements.shown.value = shown === cards.length ? "" : `${shown} of ${cards.length}`;
  }

  async function copy(button) {
    const code = button.parentElement.querySelector("code");
    let done = true;
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      done = document.execCommand("copy");
    }
    button.textContent = done ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }

  function unfoldNamed() {
    const card = cards.find((one) => `#${one.id}` === location.hash);
    if (card) {
      card.open = true;
      card.hidden = false;
      card.scrollIntoView();
    }
  }

  if (form) {
    form.addEventListener("input", filter);
    form.addEventListener("reset", () => setTimeout(filter));
    form.addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("keydown", (event) => {
      const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        form.elements.text.focus();
      }
    });
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".copy");
    if (button) copy(button);
  });
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = cards.filter((card) => !card.open && /violated|inconclusive|advisory|known|waived/.test(card.dataset.standing));
    for (const card of folded) card.open = true;
  });
  addEventListener("afterprint", () => { for (const card of folded) card.open = false; });
  addEventListener("hashchange", unfoldNamed);
  unfoldNamed();
})();
