'use strict';

/* The view of one image: heat of a class, a head and a layer, or two classes
 * side by side. Data reach the page as text nodes and attributes only. */
const Viewer = (() => {
  const {classNames} = JSON.parse(
    document.getElementById('settings').textContent);

  /* An element with properties and children; strings become text. */
  function h(tag, properties, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(properties || {})) {
      if (key in element) {
        element[key] = value;
      } else {
        element.setAttribute(key, value);
      }
    }
    element.append(...children);
    return element;
  }

  function className(index) {
    return classNames ? classNames[index] : `class ${index}`;
  }

  const percent = (score) => `${(100 * score).toFixed(1)} %`;
  const layerName = (index) => `layer ${index + 1}`;
  const headName = (head) => head === null ? 'mean' : `head ${head + 1}`;

  /* Image with a canvas for its heat on top, `width` pixels fine. */
  function stack(item, width) {
    const canvas = h('canvas', {
      width, height: Math.max(1, Math.round(width * item.height / item.width)),
      role: 'img', 'aria-label': 'attention'});
    const image = h('img', {alt: item.name || 'image', width: item.width,
                            height: item.height});
    item.image().then((source) => { image.src = source; });
    return [h('div', {className: 'stack'}, image, canvas), canvas];
  }

  function sampled(item, codes, canvas, layer, place, head) {
    return Heat.sample(item, Heat.take(item, codes, layer, place, head),
                       canvas.width, canvas.height);
  }

  /* Largest attention of a layer, the top of the common colour scale. */
  const peak = (item, layer) => Math.max(10, item.peaks[layer]);

  /* Ticks 1, 2, 5, 10, ... at their places on the scale; both signs if it
   * is a difference. */
  function bar(name, top, label) {
    const canvas = h('canvas', {'aria-hidden': 'true'});
    Heat.paintBar(canvas, name);
    const ticks = h('div', {className: 'ticks', 'aria-hidden': 'true'});
    const add = (ratio, place) => {
      const tick = h('span', {}, `${ratio}×`);
      tick.style.left = `${100 * place}%`;
      ticks.append(tick);
    };
    for (let power = 1; power <= top; power *= 10) {
      for (const ratio of [power, 2 * power, 5 * power]) {
        const place = Heat.level(ratio, top);
        if (ratio > top || (name === 'difference' && ratio !== power)) {
          continue;
        }
        if (name === 'heat') {
          add(ratio, place);
        } else {
          add(ratio, (1 + place) / 2);
          if (ratio > 1) {
            add(ratio, (1 - place) / 2);
          }
        }
      }
    }
    return h('div', {className: `bar ${name}`}, canvas, ticks,
             h('p', {}, label));
  }

  /* Fill what a link left open, and mend what this item does not have. */
  function complete(item, state) {
    const last = item.layers[item.layers.length - 1];
    const preferred = item.classes.includes(item.pred) ?
      item.pred : item.classes[0];
    const cls = item.classes.includes(state.cls) ? state.cls : preferred;
    return {
      cls,
      versus: item.classes.includes(state.versus) && state.versus !== cls ?
        state.versus : null,
      head: state.head >= 0 && state.head < item.grid[0] ? state.head : null,
      layer: item.layers.includes(state.layer) ? state.layer : last,
      opacity: state.opacity >= 0 && state.opacity <= 1 ? state.opacity : 1,
    };
  }

  function select(id, label, options, value, choose) {
    const control = h('select', {id, onchange: () => choose(control.value)},
      ...options.map(([key, text]) => h('option', {value: key}, text)));
    control.value = value;
    return h('p', {className: 'field'}, h('label', {htmlFor: id}, label),
             control);
  }

  /* Fill `container`; `onChange` receives each state that the user chooses,
   * `extra` elements go below the list of classes. */
  async function show(container, item, wanted, onChange, ...extra) {
    let state = complete(item, wanted);
    const codes = await item.maps();
    const panels = h('div', {className: 'panels'});
    const bars = h('div', {className: 'bars'});
    const heads = h('div', {className: 'heads', role: 'group',
                            'aria-label': 'head'});
    const controls = h('div', {className: 'controls'});
    const layer = () => item.layers.indexOf(state.layer);
    const place = (cls) => item.classes.indexOf(cls);

    function choose(change) {
      state = complete(item, {...state, ...change});
      draw();
      onChange(state);
    }

    function paintPanels() {
      panels.dataset.grey = state.opacity > 0;
      const shown = state.versus === null ?
        [state.cls] : [state.cls, state.versus, 'difference'];
      const canvases = [...panels.querySelectorAll('canvas')];
      const heat = shown.filter((cls) => cls !== 'difference').map(
        (cls) => sampled(item, codes, canvases[0], layer(), place(cls),
                         state.head));
      const top = peak(item, layer());
      shown.forEach((cls, i) => Heat.paint(
        canvases[i], top, state.opacity,
        ...(cls === 'difference' ? heat : [heat[i]])));
    }

    function drawHeads() {
      const all = [null, ...Array(item.grid[0]).keys()];
      heads.replaceChildren(...all.map((head) => {
        const [picture, canvas] = stack(item, 96);
        Heat.paint(canvas, peak(item, layer()), 1, sampled(
          item, codes, canvas, layer(), place(state.cls), head));
        return h('button', {
          type: 'button', 'aria-pressed': head === state.head,
          onclick: () => choose({head})}, picture, headName(head));
      }));
    }

    function draw() {
      const a = className(state.cls);
      const captions = [`${a}: ${headName(state.head)}`];
      const top = peak(item, layer());
      bars.replaceChildren(bar('heat', top, 'attention / uniform'));
      if (state.versus !== null) {
        const b = className(state.versus);
        captions.push(`${b}: ${headName(state.head)}`, 'difference');
        bars.append(bar(
          'difference', top, `← more for ${b} | more for ${a} →`));
      }
      panels.replaceChildren(...captions.map((caption) => {
        const [picture] = stack(item, Math.max(item.width, 320));
        return h('figure', {}, picture, h('figcaption', {}, caption));
      }));
      paintPanels();
      const focused = heads.contains(document.activeElement);
      drawHeads();
      if (focused) {
        heads.querySelector('[aria-pressed=true]').focus();
      }
      controls.querySelectorAll('input[type=radio]').forEach((radio) => {
        radio.checked = Number(radio.value) === state.cls;
      });
      controls.querySelector('#versus').value = state.versus ?? '';
    }

    const tags = (cls) => [[item.gt, 'true'], [item.pred, 'predicted']]
      .filter(([index]) => index === cls).map(([, tag]) => ` (${tag})`);
    const radios = item.classes.map((cls, i) => {
      const radio = h('input', {
        type: 'radio', name: 'class', value: cls,
        onchange: () => choose({cls})});
      const meter = h('meter', {min: 0, max: 1, value: item.scores[i],
                                'aria-hidden': 'true'});
      return h('label', {className: 'class'}, radio, h('span', {},
        className(cls), ...tags(cls)), meter,
        h('span', {}, percent(item.scores[i])));
    });
    const slider = h('input', {
      type: 'range', id: 'opacity', min: 0, max: 1, step: .05,
      oninput: () => {
        state.opacity = Number(slider.value);
        paintPanels();
        onChange(state);
      }});
    slider.value = state.opacity;
    controls.append(
      h('fieldset', {}, h('legend', {}, 'Class'), ...radios, ...extra),
      select('versus', 'Compare with', [['', 'no other class'],
        ...item.classes.map((cls) => [cls, className(cls)])],
        state.versus === null ? '' : state.versus, (value) => choose(
          {versus: value === '' ? null : Number(value)})),
      select('layer', 'Decoder layer', item.layers.map(
        (index) => [index, layerName(index)]), state.layer,
        (value) => choose({layer: Number(value)})),
      h('p', {className: 'field'}, h('label', {htmlFor: 'opacity'},
        'Opacity'), slider));
    container.replaceChildren(h('div', {className: 'viewer'},
      controls, h('div', {className: 'pictures'}, panels, bars, heads)));
    draw();
  }

  return {h, className, percent, layerName, headName, stack, sampled, bar,
          select, complete, show};
})();
