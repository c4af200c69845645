// Building elements. Text goes in as text alone: nothing that an agent reports is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
export const byId = (id) => document.getElementById(id);

/** Sets a node's text where it changed; true if it did. */
export function say(node, text) {
  if (node.textContent === text) return false;
  node.textContent = text;
  return true;
}

/** Lets a node glow once: its number has just changed. */
export function glow(node) {
  node.classList.remove("fresh");
  void node.offsetWidth; // restarts the animation
  node.classList.add("fresh");
  node.addEventListener("animationend", () => node.classList.remove("fresh"), { once: true });
}

/** A flat bar in which each part takes its share of the whole. */
export function bar(node, parts, whole) {
  const all = Number(whole);
  let left = 0;
  node.replaceChildren(
    ...parts.map(({ className, value }) => {
      const width = all > 0 ? (100 * Number(value)) / all : 0;
      const rect = svg("rect", { class: className, x: left, y: 0, width, height: 4 });
      left += width;
      return rect;
    }),
  );
}
