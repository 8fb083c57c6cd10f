const found = document.getElementById("found");
document.getElementById("search").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = words.length
    ? BOOK.filter((one) => words.every((word) => one.text.toLowerCase().includes(word)))
    : [];
  found.replaceChildren(...hits.slice(0, 20).map((one) => {
    const at = Math.max(0, one.text.toLowerCase().indexOf(words[0]) - 60);
    const link = Object.assign(document.createElement("a"), { href: one.page, textContent: one.title });
    const entry = document.createElement("li");
    entry.append(link, " … " + one.text.slice(at, at + 160) + " …");
    return entry;
  }));
});
