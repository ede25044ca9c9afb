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

  /* True and predicted classes, of which an image may have several. */
  function labels(item) {
    const {gt, pred} = item.several || item;
    return {gt: gt === null ? [] : [gt].flat(), pred: [pred].flat()};
  }

  /* The class whose map stands for an image, of those that have one. */
  const mapClass = (item) => item.classes.includes(item.pred) ?
    item.pred : item.classes[0];

  const percent = (score) => `${(100 * score).toFixed(1)} %`;
  const layerName = (index) => `layer ${index}`;
  const headName = (head, item) => head !== null ? `head ${head}` :
    Heat.isEvidence(item) ? 'evidence' : 'mean';
  const signed = (value) => `${value < 0 ? '−' : '+'}` +
    Math.abs(value).toFixed(2);

  /* The photo in colour. */
  function photo(item) {
    const image = h('img', {alt: item.name || 'image', width: item.width,
                            height: item.height});
    item.image().then((source) => { image.src = source; });
    return image;
  }

  /* Image with a canvas for its heat on top, `width` pixels fine. */
  function stack(item, width) {
    const canvas = h('canvas', {
      width, height: Math.max(1, Math.round(width * item.height / item.width)),
      role: 'img', 'aria-label': item.kind});
    return [h('div', {className: 'stack'}, photo(item), canvas), canvas];
  }

  function sampled(item, codes, canvas, layer, place, head) {
    return Heat.sample(item, Heat.take(item, codes, layer, place, head),
                       canvas.width, canvas.height);
  }

  /* Values and places of ticks: 1, 2, 5, 10, ... of attention, 1, 3, 10, ...
   * of both signs of its differences; even steps of evidence. */
  function ticksOf(scale) {
    const places = [];
    if (scale.bent) {
      for (let power = 1; power <= scale.top; power *= 10) {
        for (const value of [power, 3 * power]) {
          const place = Heat.level(value, scale) / 2;
          if (value <= scale.top) {
            places.push([value, .5 + place], [`−${value}`, .5 - place]);
          }
        }
      }
      return [[0, .5], ...places];
    }
    if (scale.signed) {
      const power = 10 ** Math.floor(Math.log10(scale.top));
      const step = [.5, 1, 2, 5].find((part) => part >= scale.top / power / 4);
      for (let i = 1; i * step * power <= scale.top; i++) {
        const value = Number((i * step * power).toPrecision(3));
        const place = value / scale.top / 2;
        places.push([value, .5 + place], [`−${value}`, .5 - place]);
      }
      return [[0, .5], ...places];
    }
    for (let power = 1; power <= scale.top; power *= 10) {
      for (const ratio of [power, 2 * power, 5 * power]) {
        if (ratio <= scale.top) {
          places.push([`${ratio}×`, Heat.level(ratio, scale)]);
        }
      }
    }
    return places;
  }

  function bar(scale, label) {
    const name = scale.signed ? 'difference' : 'heat';
    const canvas = h('canvas', {'aria-hidden': 'true'});
    Heat.paintBar(canvas, name);
    const ticks = h('div', {className: 'ticks', 'aria-hidden': 'true'},
      ...ticksOf(scale).map(([value, place]) => {
        const tick = h('span', {}, String(value));
        tick.style.left = `${100 * place}%`;
        return tick;
      }));
    return h('div', {className: `bar ${name}`}, canvas, ticks,
             h('p', {}, label, ...scale.beyond ?
               ['; cells beyond have the last colour'] : []));
  }

  /* The bar of single maps. */
  const mainBar = (scale, whose = '') => scale.signed ?
    bar(scale, `← against | evidence per cell (nats)${whose} | for →`) :
    bar(scale, `attention / uniform${whose}`);

  /* What the maps of the last layer decide, in words. */
  function evenText(item) {
    const score = percent(item.even.score);
    return Heat.isEvidence(item) ?
      `These maps add up to the score; with even attention: ${score}` :
      "With even attention in place of the last layer's maps: " +
      `${className(item.pred)} ${score}`;
  }

  /* Fill what a link left open, and mend what this item does not have. */
  function complete(item, state) {
    const last = item.layers[item.layers.length - 1];
    const cls = item.classes.includes(state.cls) ? state.cls : mapClass(item);
    return {
      cls,
      versus: item.classes.includes(state.versus) && state.versus !== cls ?
        state.versus : null,
      head: state.head >= 0 && state.head < item.grid[0] ? state.head : null,
      layer: item.layers.includes(state.layer) ? state.layer : last,
      opacity: state.opacity >= 0 && state.opacity <= 1 ? state.opacity : 1,
    };
  }

  /* Where an arrow key leads, -1 or 1, unless a control takes it. */
  function stepOf(event) {
    const busy = event.target.matches('input, select, textarea') ||
      event.altKey || event.ctrlKey || event.metaKey;
    return busy ? undefined : {ArrowLeft: -1, ArrowRight: 1}[event.key];
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
    const scale = () => Heat.scale([item], state.layer);

    /* Evidence of a class in all cells, which is its part of the logit. */
    function sum(cls) {
      const sums = item.sums[place(cls)];
      return state.head === null ?
        sums.reduce((total, part) => total + part) : sums[state.head];
    }

    const caption = (cls) => `${className(cls)}: ` +
      headName(state.head, item) +
      (Heat.isEvidence(item) ? ` ${signed(sum(cls))}` : '');

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
      shown.forEach((cls, i) => Heat.paint(
        canvases[i], scale(), state.opacity,
        ...(cls === 'difference' ? heat : [heat[i]])));
    }

    function drawHeads() {
      const all = [null, ...Array(item.grid[0]).keys()];
      heads.replaceChildren(...all.map((head) => {
        const [picture, canvas] = stack(item, 96);
        Heat.paint(canvas, scale(), 1, sampled(
          item, codes, canvas, layer(), place(state.cls), head));
        return h('button', {
          type: 'button', 'aria-pressed': head === state.head,
          onclick: () => choose({head})}, picture, headName(head, item));
      }));
    }

    function draw() {
      const a = className(state.cls);
      const captions = [caption(state.cls)];
      bars.replaceChildren(mainBar(scale()));
      if (state.versus !== null) {
        const b = className(state.versus);
        captions.push(caption(state.versus), Heat.isEvidence(item) ?
          `why ${a} and not ${b}: ` +
          signed(sum(state.cls) - sum(state.versus)) : 'difference');
        const unit = Heat.isEvidence(item) ? 'nats' : 'difference / uniform';
        bars.append(bar(Heat.difference(scale()),
                        `← more for ${b} | ${unit} | more for ${a} →`));
      }
      // so that tall photos fit on the screen
      panels.style.setProperty('--aspect', item.width / item.height);
      panels.replaceChildren(
        h('figure', {}, photo(item), h('figcaption', {}, 'photo')),
        ...captions.map((caption) => {
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

    const {gt, pred} = labels(item);
    const tags = (cls) => [[gt, 'true'], [pred, 'predicted']]
      .filter(([classes]) => classes.includes(cls))
      .map(([, tag]) => ` (${tag})`);
    const found = (i) => item.found ?
      [h('small', {}, `found ${item.found[i].toFixed(2)}`)] : [];
    const radios = item.classes.map((cls, i) => {
      const radio = h('input', {
        type: 'radio', name: 'class', value: cls,
        onchange: () => choose({cls})});
      const meter = h('meter', {min: 0, max: 1, value: item.scores[i],
                                'aria-hidden': 'true'});
      return h('label', {className: 'class'}, radio, h('span', {},
        className(cls), ...tags(cls), ...found(i)), meter,
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
        'Opacity'), slider),
      h('p', {className: 'choice'}, ...['png', 'svg'].map((format) => h(
        'button', {type: 'button', id: `save-${format}`, onclick: () =>
          Figure[format](panels, bars, [
            (item.name || 'image').replace(/\.\w+$/, ''),
            className(state.cls), headName(state.head, item)].join(' '))},
        `Save as ${format.toUpperCase()}`))));
    container.replaceChildren(h('div', {className: 'viewer'},
      controls, h('div', {className: 'pictures'}, panels, bars,
        ...item.even ? [h('p', {className: 'even'}, evenText(item))] : [],
        heads)));
    draw();
  }

  return {h, className, labels, mapClass, percent, layerName, headName, photo, stack,
          sampled, mainBar, select, stepOf, complete, show};
})();
