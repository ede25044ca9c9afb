'use strict';

/* The page of tools/serve.py: the viewer for photos that are dropped, chosen
 * or pasted. The server keeps nothing, so that each further class sends the
 * photo again. */
(() => {
  const {h, className, labels, percent} = Viewer;
  const {maxBytes, maxPixels} = JSON.parse(
    document.getElementById('settings').textContent);
  const KEPT = 12;
  const drop = document.getElementById('drop');
  const input = document.getElementById('file');
  const status = document.getElementById('status');
  const list = document.getElementById('results');
  const detail = document.getElementById('detail');
  let results = []; // newest first
  let shown = null;
  let work = Promise.resolve();

  const predicted = (item) =>
    labels(item).pred.map(className).join(', ') || 'no class';

  function say(text, role = 'status') {
    status.setAttribute('role', role);
    status.textContent = text;
  }

  /* The photo, or a smaller one where the server would refuse it. */
  async function fitted(file) {
    let picture;
    try {
      picture = await createImageBitmap(file);
    } catch {
      return file; // the server says what is wrong, or reads more formats
    }
    const {width, height} = picture;
    let share = Math.min(1, Math.sqrt(maxPixels / width / height));
    let blob = share < 1 ? null : file;
    while (!blob || blob.size > maxBytes) {
      const canvas = h('canvas', {width: Math.floor(width * share) || 1,
                                  height: Math.floor(height * share) || 1});
      const context = canvas.getContext('2d');
      context.fillStyle = '#fff'; // behind what is transparent
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.imageSmoothingQuality = 'high';
      context.drawImage(picture, 0, 0, canvas.width, canvas.height);
      blob = await new Promise(
        (resolve) => canvas.toBlob(resolve, 'image/jpeg', .92));
      share *= .8;
    }
    picture.close();
    return blob;
  }

  async function ask(file, cls) {
    const photo = await fitted(file);
    if (photo.size > maxBytes) {
      throw new Error(`The photo has ${(photo.size / 1e6).toFixed(1)} MB, ` +
                      `choose one of at most ${maxBytes / 1e6} MB, or start ` +
                      'the server with a larger --max-mb.');
    }
    const query = cls === undefined ? '' : `?class=${cls}`;
    const response = await fetch(`explain${query}`, {
      method: 'POST', body: photo, headers: {
        'Content-Type': photo.type || 'image/unknown'}});
    const answer = await response.json();
    if (!response.ok) {
      throw new Error(answer.error);
    }
    answer.isReduced = photo !== file;
    return answer;
  }

  /* Ask about a photo, or about a further class of it, and show the answer. */
  async function explain(result, cls) {
    const {file} = result;
    say(`Looking at ${file.name} …`);
    try {
      const {image, maps, ...item} = await ask(file, cls);
      item.name = file.name;
      item.image = async () => `data:image/jpeg;base64,${image}`;
      const codes = await Heat.inflate(maps);
      item.maps = async () => codes;
      Object.assign(result, {item, source: await item.image()});
      if (cls !== undefined) {
        result.state.cls = cls;
      }
      results = [result, ...results.filter((other) => other !== result)]
        .slice(0, KEPT);
      await show(result);
    } catch (error) {
      say(`${file.name}: ${error.message}`, 'alert');
      return false;
    }
    return true;
  }

  async function show(result) {
    const {file, item} = shown = result;
    const rest = item.all.map((score, index) => [index, score])
      .filter(([index]) => !item.classes.includes(index))
      .sort((a, b) => b[1] - a[1]);
    const other = h('select', {id: 'other', onchange: () => enqueue(
      () => explain(result, Number(other.value)))},
      h('option', {value: ''}, 'another class …'),
      ...rest.map(([index, score]) => h('option', {value: index},
        `${className(index)}, ${percent(score)}`)));
    other.setAttribute('aria-label', 'another class');
    await Viewer.show(detail, item, result.state,
                      (state) => { result.state = state; }, other);
    list.hidden = results.length < 2;
    list.replaceChildren(...results.map((one) => h('button', {
      type: 'button', 'aria-pressed': one === shown,
      onclick: () => show(one)}, h('img', {src: one.source, alt: ''}),
      `${one.file.name}: ${predicted(one.item)}`)));
    say(`${file.name}: ${predicted(item)}, ${percent(item.confidence)}` +
        (item.isReduced ? ', of a reduced photo' : ''));
  }

  /* One after the other. */
  function enqueue(task) {
    work = work.then(task);
  }

  function add(files) {
    const failed = [];
    for (const file of files) {
      enqueue(async () => {
        if (!await explain({file, state: {}})) {
          failed.push(status.textContent);
        }
      });
    }
    enqueue(() => failed.length && say(failed.join(' '), 'alert'));
  }

  input.onchange = () => {
    add([...input.files]);
    input.value = ''; // so that the same photo can be chosen again
  };
  document.onkeydown = (event) => {
    const next = results[results.indexOf(shown) + Viewer.stepOf(event)];
    if (next) {
      show(next);
      event.preventDefault();
    }
  };
  document.onpaste = (event) => add([...event.clipboardData.files]);
  document.ondragover = (event) => {
    event.preventDefault();
    drop.classList.add('over');
  };
  document.ondragleave = () => drop.classList.remove('over');
  document.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    add([...event.dataTransfer.files]);
  };
})();
