// Sets the theme before the first paint; the admin keeps its choice under the same name.
(() => {
  const KEY = "_x_adminTheme";
  const read = () => {
    try {
      return JSON.parse(localStorage.getItem(KEY)) || "auto";
    } catch {
      return "auto";
    }
  };
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
  };
  apply(read());
  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    if (!select) return;
    select.value = read();
    select.addEventListener("change", () => {
      localStorage.setItem(KEY, JSON.stringify(select.value));
      apply(select.value);
    });
  });
})();
