// What a newcomer sees: how to connect the first agent.

import { byId, el } from "./dom.js";

const STEPS = (origin) => [
  ["Where this server runs, make a key for your agent:", "tokenbeat register my-agent"],
  ["Beside your agent, install the package:", "pip install 'tokenbeat[langchain]'"],
  ["Run your agent as it is:", [
    "OTEL_SERVICE_NAME=my-agent \\",
    "OTEL_METRICS_EXPORTER=tokenbeat \\",
    "OTEL_TRACES_EXPORTER=none \\",
    `TOKENBEAT_CONTROL_PLANE_URL=${origin} \\`,
    "TOKENBEAT_API_KEY=<the key> \\",
    "opentelemetry-instrument python app.py",
  ].join("\n")],
];

export function welcome() {
  const origin = new URL(".", location.href).href.replace(/\/$/, "");
  byId("steps").replaceChildren(...STEPS(origin).map(([text, command]) => {
    const button = el("button", { class: "quiet", type: "button", "aria-label": `Copy: ${command.split("\n")[0]}` }, "Copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(command);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Select it";
      }
      setTimeout(() => (button.textContent = "Copy"), 1600);
    });
    return el("li", {}, el("p", {}, text), el("div", { class: "code" }, el("pre", {}, el("code", {}, command)), button));
  }));
}
