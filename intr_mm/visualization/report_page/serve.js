'use strict';

/* The page of tools/serve.py: the viewer for one photo. The server keeps
 * nothing, so that each further class sends the photo again. */
(() => {
  const {h, className, percent} = Viewer;
  const {maxBytes} = JSON.parse(
    document.getElementById('settings').textContent);
  const drop = document.getElementById('drop');
  const input = document.getElementById('file');
  const status = document.getElementById('status');
  const detail = document.getElementById('detail');
  let newest = 0;

  async function ask(file, cls) {
    if (file.size > maxBytes) {
      throw new Error(`The photo has ${(file.size / 1e6).toFixed(1)} MB, ` +
                      `choose one of at most ${maxBytes / 1e6} MB.`);
    }
    const query = cls === undefined ? '' : `?class=${cls}`;
    const response = await fetch(`explain${query}`, {
      method: 'POST', body: file, headers: {
        'Content-Type': file.type || 'application/octet-stream'}});
    const answer = await response.json();
    if (!response.ok) {
      throw new Error(answer.error);
    }
    return answer;
  }

  async function explain(file, cls, state = {}) {
    const turn = ++newest;
    status.setAttribute('role', 'status');
    status.textContent = 'Looking …';
    try {
      const {image, maps, all, ...item} = await ask(file, cls);
      if (turn !== newest) {
        return;
      }
      item.name = file.name;
      item.image = async () => `data:image/jpeg;base64,${image}`;
      item.maps = () => Heat.inflate(maps);
      const rest = all.map((score, index) => [index, score])
        .filter(([index]) => !item.classes.includes(index))
        .sort((a, b) => b[1] - a[1]);
      const other = h('select', {id: 'other', onchange: () => explain(
        file, Number(other.value), {...state, cls: Number(other.value)})},
        h('option', {value: ''}, 'another class …'),
        ...rest.map(([index, score]) => h('option', {value: index},
          `${className(index)}, ${percent(score)}`)));
      other.setAttribute('aria-label', 'another class');
      await Viewer.show(detail, item, state, (chosen) => { state = chosen; },
                        other);
      status.textContent = `${file.name}: ${className(item.pred)}, ` +
        percent(item.confidence);
    } catch (error) {
      if (turn === newest) {
        detail.replaceChildren();
        status.setAttribute('role', 'alert');
        status.textContent = error.message;
      }
    }
  }

  input.onchange = () => input.files.length && explain(input.files[0]);
  document.ondragover = (event) => {
    event.preventDefault();
    drop.classList.add('over');
  };
  document.ondragleave = () => drop.classList.remove('over');
  document.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    if (event.dataTransfer.files.length) {
      explain(event.dataTransfer.files[0]);
    }
  };
})();
