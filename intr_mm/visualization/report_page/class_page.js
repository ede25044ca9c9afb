'use strict';

/* What a head looks for: the same class and head in many images. */
const ClassPage = (() => {
  const {h, className, labels, percent, layerName, headName, stack, sampled,
         mainBar, select} = Viewer;
  const WIDTH = 200;

  const groups = {
    true: ['images of this class',
      (item, cls) => labels(item).gt.includes(cls)],
    predicted: ['images predicted as it',
      (item, cls) => labels(item).pred.includes(cls)],
    any: ['all images with its map', () => true],
  };

  /* Fill `container`; `onChange` receives each state the user chooses. */
  function show(container, items, wanted, onChange) {
    const {cls} = wanted;
    const having = items.filter((item) => item.classes.includes(cls));
    const score = (item) => item.scores[item.classes.indexOf(cls)];
    const of = (group) => having
      .filter((item) => groups[group][1](item, cls))
      .sort((a, b) => score(b) - score(a) || a.index - b.index);
    const filled = Object.keys(groups).filter((group) => of(group).length);
    const state = {
      cls,
      group: filled.includes(wanted.group) ? wanted.group : filled[0],
      layer: wanted.layer,
      head: wanted.head,
    };
    const heading = h('h2', {tabIndex: -1}, `Where ${className(cls)} looks`);
    const known = [...new Set(items.flatMap((item) => item.classes))].sort(
      (a, b) => a - b);
    const pick = select('class', 'Class', known.map(
      (index) => [index, className(index)]), cls, (value) => onChange(
        {...state, cls: Number(value)}));
    if (!having.length) {
      container.replaceChildren(heading, pick, h('p', {},
        'No image of this report has a map of this class.'));
      return heading;
    }
    const shown = of(state.group);
    const heads = Math.max(...shown.map((item) => item.grid[0]));
    const layers = [...new Set(shown.flatMap((item) => item.layers))].sort(
      (a, b) => a - b);
    state.head = state.head >= 0 && state.head < heads ? state.head : null;
    state.layer = layers.includes(state.layer) ?
      state.layer : layers[layers.length - 1];
    const usable = shown.filter((item) => item.layers.includes(state.layer) &&
      (state.head === null || state.head < item.grid[0]));
    // one scale, so that images can be compared
    const scale = Heat.scale(
      usable, state.layer, state.head === null, () => cls);

    const observer = Gallery.watch(async (element) => {
      const item = items[Number(element.dataset.index)];
      const [picture, canvas] = stack(item, WIDTH);
      element.prepend(picture);
      Heat.paint(canvas, scale, 1, sampled(
        item, await item.maps(), canvas, item.layers.indexOf(state.layer),
        item.classes.indexOf(cls), state.head));
    });
    const cards = usable.map((item) => {
      const link = new URLSearchParams(
        {image: item.index, class: cls, layer: state.layer});
      if (state.head !== null) {
        link.set('head', state.head);
      }
      const element = h('a', {className: 'card', href: `#${link}`},
        h('span', {className: 'name'}, item.name),
        h('span', {}, `its score: ${percent(score(item))}`));
      element.dataset.index = item.index;
      observer.observe(element);
      return element;
    });
    const buttons = [null, ...Array(heads).keys()].map((head) => h('button', {
      type: 'button', 'aria-pressed': head === state.head,
      onclick: () => onChange({...state, head})}, headName(head, shown[0])));
    container.replaceChildren(heading, h('div', {className: 'filters'},
      pick,
      select('group', 'Images', filled.map(
        (group) => [group, groups[group][0]]), state.group,
        (group) => onChange({...state, group})),
      select('page-layer', 'Decoder layer', layers.map(
        (layer) => [layer, layerName(layer)]), state.layer,
        (layer) => onChange({...state, layer: Number(layer)})),
      h('div', {className: 'choice', role: 'group', 'aria-label': 'head'},
        ...buttons),
      h('output', {}, `${usable.length} images, best score first`)),
      mainBar(scale),
      h('div', {className: 'grid'}, ...cards));
    return heading;
  }

  return {show};
})();
