(() => {
  const box = document.currentScript.closest(".gallery");
  const { labels, values, starts } = JSON.parse(box.dataset.spec);
  const pictures = {};
  box.querySelectorAll("figure").forEach((one) => (pictures[one.dataset.key] = one));
  const chosen = starts.map((start) => [...start]);
  const draws = [];
  const control = (label, options, at, turn) => {
    const asked = document.createElement("label");
    asked.append(label + " ");
    const slides = options.every((one, k) => one !== "" && !isNaN(one) && (!k || +one > +options[k - 1]));
    const input = document.createElement(slides ? "input" : "select");
    const said = document.createElement("output");
    if (slides) {
      Object.assign(input, { type: "range", min: 0, max: options.length - 1, step: 1, value: at });
      asked.append(input, said);
    } else {
      options.forEach((one, k) => input.add(new Option(one, k)));
      input.value = at;
      asked.append(input);
    }
    input.setAttribute("aria-label", label);
    const tell = () => {
      said.value = options[+input.value];
      input.setAttribute("aria-valuetext", options[+input.value]);
    };
    input.addEventListener("input", () => { tell(); turn(+input.value); });
    tell();
    return asked;
  };
  const turn = (column, which) => (to) => {
    (which ? [column] : [...starts.keys()]).forEach((c) => (chosen[c][which] = to));
    draws.forEach((draw) => draw());
  };
  const stage = document.createElement("div");
  stage.className = "stage";
  starts.forEach((start, column) => {
    const side = document.createElement("div");
    const bar = document.createElement("div");
    bar.className = "controls";
    labels.forEach((label, which) => {
      if (which || !column) bar.append(control(label, values[which], start[which], turn(column, which)));
    });
    const image = document.createElement("img");
    draws.push(() => {
      const now = pictures[chosen[column].join()].querySelector("img");
      image.src = now.src;
      image.alt = now.alt;
    });
    side.append(bar, image);
    stage.append(side);
  });
  box.querySelector(".frames").hidden = true;
  box.append(stage);
  draws.forEach((draw) => draw());
  box.addEventListener("keydown", (event) => event.stopPropagation());
})();
