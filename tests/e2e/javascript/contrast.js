// Measures the contrast of all visible text and of the borders of controls, as WCAG 2.2 defines it (1.4.3 and 1.4.11), and
// returns those that are too low: what it is, the contrast, and what it must have.
(() => {
  const probe = document.createElement("i");
  document.body.append(probe);
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const system = (name) => {
    probe.style.color = name;
    return parse(getComputedStyle(probe).color);
  };
  const canvas = system("Canvas");
  const over = (top, below) => {
    const mix = (name) => top[name] * top.a + below[name] * (1 - top.a);
    return { r: mix("r"), g: mix("g"), b: mix("b"), a: 1 };
  };
  const luminance = (colour) => {
    const part = (value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * part(colour.r) + 0.7152 * part(colour.g) + 0.0722 * part(colour.b);
  };
  const contrast = (one, other) => {
    const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const ancestors = (element) => {
    const all = [];
    for (let one = element; one; one = one.parentElement) all.unshift(one);
    return all;
  };
  const background = (element) =>
    ancestors(element).reduce((below, one) => over(parse(getComputedStyle(one).backgroundColor), below), canvas);
  const opacity = (element) => ancestors(element).reduce((share, one) => share * Number(getComputedStyle(one).opacity), 1);
  const isVisible = (element) => {
    const box = element.getBoundingClientRect();
    return element.checkVisibility({ visibilityProperty: true }) && box.width > 1 && box.height > 1;
  };
  const name = (element) => `${element.tagName.toLowerCase()}#${element.id}.${element.className} "${(element.textContent || "").trim().slice(0, 40)}"`;
  const found = [];
  const check = (element, what, colour, behind, least) => {
    const share = opacity(element);
    const seen = over({ ...colour, a: colour.a * share }, behind);
    const measured = contrast(seen, behind);
    if (measured < least) found.push({ what: `${what} of ${name(element)}`, contrast: Math.round(measured * 100) / 100, least });
  };
  let texts = 0;
  for (const element of document.querySelectorAll("body *")) {
    if (element === probe || !isVisible(element)) continue;
    const style = getComputedStyle(element);
    const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (hasText || element.matches("select")) {
      texts += 1;
      const size = parseFloat(style.fontSize);
      const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      check(element, "text", parse(style.color), background(element), isLarge ? 3 : 4.5);
    }
    // The name of a column, which a narrow table writes before each cell.
    const before = getComputedStyle(element, "::before");
    if (before.content !== "none" && before.content !== '""') {
      check(element, "name", parse(before.color), background(element), 4.5);
    }
    if (element.matches("input, select, button")) {
      const around = background(element.parentElement);
      const border = contrast(over(parse(style.borderTopColor), around), around);
      const face = contrast(background(element), around);
      // Either the border or the face must show where the control is.
      if (Math.max(border, face) < 3) found.push({ what: `border of ${name(element)}`, contrast: Math.round(Math.max(border, face) * 100) / 100, least: 3 });
    }
  }
  probe.remove();
  return { found, texts, isDark: luminance(canvas) < 0.5 };
})();
