// What a newcomer sees: how to connect the first agent.

import { byId, el } from "./dom.js";

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

function steps(origin) {
  const run = [
    "export OTEL_SERVICE_NAME=my-agent",
    "export OTEL_METRICS_EXPORTER=tokenbeat OTEL_TRACES_EXPORTER=none",
    `export TOKENBEAT_CONTROL_PLANE_URL=${origin.href.replace(/\/$/, "")}`,
    "export TOKENBEAT_API_KEY='the key from step 1'",
    "opentelemetry-instrument python app.py",
  ];
  if (origin.protocol === "http:" && !LOOPBACK.test(origin.hostname)) run.splice(4, 0, "export TOKENBEAT_ALLOW_PLAINTEXT=true  # this page has no https");
  return [
    ["Where this server runs, make a key for your agent:", "tokenbeat register my-agent"],
    ["Beside your agent, install the package:", "pip install 'tokenbeat[langchain]'"],
    ["Run your agent as it is:", run.join("\n")],
  ];
}

export function welcome() {
  byId("steps").replaceChildren(...steps(new URL(".", location.href)).map(([text, command]) => {
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
