// Light, dark, or as the system has it.
import { createStore } from "./store.js";

export const theme = createStore(localStorage.getItem("crm.theme") ?? "auto");

export function startTheme() {
  theme.subscribe(apply);
  apply(theme.get());
}
function apply(value) {
  document.documentElement.dataset.theme = value;
  localStorage.setItem("crm.theme", value);
}
