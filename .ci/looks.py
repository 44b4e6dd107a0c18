"""How a page looks, measured: nothing wider than the window, nothing over something else, text that can be read.

Each check returns what is wrong, as sentences; an empty list is a page that looks right.
"""

# WCAG 2.2, 1.4.3: the contrast of text, and of large text.
CONTRAST = 4.5
LARGE_CONTRAST = 3.0

MEASURE = """
() => {
  const wrong = [];
  const name = (node) => `<${node.tagName.toLowerCase()}> ${(node.innerText || node.value || "").trim().slice(0, 40)}`;
  const width = document.documentElement.clientWidth;
  if (width < document.documentElement.scrollWidth) wrong.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${width}`);

  const parse = (text) => {
    const parts = (text.match(/[\\d.]+/g) ?? []).map(Number);
    return {rgb: parts.slice(0, 3), alpha: parts.length < 4 ? 1 : parts[3]};
  };
  const over = (top, below) => top.rgb.map((part, at) => part * top.alpha + below[at] * (1 - top.alpha));
  const ground = (node) => {
    const layers = [];
    for (let it = node; it; it = it.parentElement) layers.push(parse(getComputedStyle(it).backgroundColor));
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    return layers.reverse().reduce((below, layer) => over(layer, below), dark ? [18, 18, 18] : [255, 255, 255]);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };

  // What can be seen of a box: what scrolls inside something else is cut off there.
  const seen = (node, rect) => {
    let {left, right, top, bottom} = rect;
    for (let it = node.parentElement; it; it = it.parentElement) {
      if (getComputedStyle(it).overflow === "visible") continue;
      const box = it.getBoundingClientRect();
      [left, right, top, bottom] = [Math.max(left, box.left), Math.min(right, box.right), Math.max(top, box.top), Math.min(bottom, box.bottom)];
    }
    return {left, right, top, bottom};
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName) || !node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    const below = ground(node);
    const [one, other] = [luminance(over(parse(style.color), below)), luminance(below)];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = 24 <= size || (18.66 <= size && 700 <= Number(style.fontWeight));
    if (contrast < (isLarge ? LARGE_CONTRAST : CONTRAST)) wrong.push(`contrast ${contrast.toFixed(2)}: ${name(node)}`);
    const range = document.createRange();
    range.selectNodeContents(text);
    for (const rect of range.getClientRects()) {
      const box = seen(node, rect);
      if (1 < box.right - box.left && 1 < box.bottom - box.top) texts.push({node, box});
    }
  }
  const isFixed = (node) => { for (let it = node; it; it = it.parentElement) if (["fixed", "sticky"].includes(getComputedStyle(it).position)) return true; return false; };
  const still = texts.filter(({node}) => !isFixed(node));
  still.sort((one, other) => one.box.top - other.box.top);
  for (let at = 0; at < still.length; at++) {
    for (let next = at + 1; next < still.length && still[next].box.top < still[at].box.bottom; next++) {
      const [one, other] = [still[at].box, still[next].box];
      const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      // Lines of one text touch each other.
      if (2 < wide && 4 < high) wrong.push(`${name(still[at].node)} lies over ${name(still[next].node)}`);
    }
  }
  for (const {node, box} of texts) {
    if (box.right > innerWidth + 1 || box.left < -1) wrong.push(`outside of the window: ${name(node)}`);
  }
  return [...new Set(wrong)];
}
""".replace("LARGE_CONTRAST", str(LARGE_CONTRAST)).replace("CONTRAST", str(CONTRAST))

# Things that a page must not look like: the measure has to notice each.
SPOILED = {
    "contrast": "document.body.insertAdjacentHTML('beforeend', '<p style=\"color: #999; background: #aaa\">unreadable</p>')",
    "lies over": "document.body.insertAdjacentHTML('beforeend', '<p>below</p><p style=\"margin-top: -2.6em\">above</p>')",
    "wide in a window": "document.body.insertAdjacentHTML('beforeend', '<p style=\"width: 3000px\">wide</p>')",
}


def wrong(page):
    """What is wrong with how the page looks now."""
    return page.evaluate(MEASURE)


def assert_right(page, where):
    found = wrong(page)
    assert not found, f"{where}: " + "; ".join(found[:10])


def assert_it_can_fail(page):
    """Spoils the page in each way, and sees that the measure notices."""
    for part, spoil in SPOILED.items():
        assert not any(part in line for line in wrong(page)), f"{part} before it was spoiled"
        page.evaluate(spoil)
        found = wrong(page)
        assert any(part in line for line in found), f"nothing said of {part}: {found}"
        page.evaluate("document.body.lastElementChild.remove()")
    page.reload()
