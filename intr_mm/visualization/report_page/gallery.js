'use strict';

/* All images, sorted and filtered. A picture is loaded when it is seen. */
const Gallery = (() => {
  const {h, className, labels, mapClass, percent, photo, stack, sampled,
         mainBar} = Viewer;
  const WIDTH = 200;
  const FIELDS = [
    'show', 'sort', 'of', 'as', 'with', 'min', 'max', 'q', 'errors'];

  const pictures = [['', 'photo and map'], ['map', 'map'],
                    ['photo', 'photo']];

  const orders = {
    order: ['order of the data', (a, b) => a.index - b.index],
    least: ['confidence, lowest first',
            (a, b) => a.confidence - b.confidence || a.index - b.index],
    most: ['confidence, highest first',
           (a, b) => b.confidence - a.confidence || a.index - b.index],
    gt: ['true class', (a, b) =>
      (a.gt ?? Infinity) - (b.gt ?? Infinity) || a.index - b.index],
    pred: ['predicted class',
           (a, b) => a.pred - b.pred || a.index - b.index],
  };
  // `Infinity - Infinity` of two unlabelled images is NaN, which `||` skips.

  /* As what a class is looked for: [text, labels of an item]. */
  const roles = {
    '': ['true or predicted', (item) => [...labels(item).gt, ...labels(item).pred]],
    gt: ['true', (item) => labels(item).gt],
    pred: ['predicted', (item) => labels(item).pred],
  };

  const isWrong = (item) => item.gt !== null && item.gt !== item.pred;

  function matches(item, filter) {
    const text = (filter.q || '').trim().toLowerCase();
    const {gt, pred} = labels(item);
    const words = [item.name, ...[...gt, ...pred].map(className)];
    return (!filter.errors || isWrong(item)) &&
      (!filter.of || (roles[filter.as] || roles[''])[1](item)
        .includes(Number(filter.of))) &&
      (!filter.with || [...gt, ...pred].includes(Number(filter.with))) &&
      100 * item.confidence >= (filter.min || 0) &&
      100 * item.confidence <= (filter.max || 100) &&
      words.some((word) => word.toLowerCase().includes(text));
  }

  /* Indices of the items that pass the filter, in its order. */
  function arrange(items, filter) {
    return items.filter((item) => matches(item, filter))
      .sort((orders[filter.sort] || orders.order)[1])
      .map((item) => item.index);
  }

  /* An observer that calls `see(element)` once, when it comes near. */
  function watch(see) {
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((one) => one.isIntersecting)) {
        observer.unobserve(entry.target);
        see(entry.target);
      }
    }, {rootMargin: '300px'});
    return observer;
  }

  function verdict(item) {
    if (item.several) { // classes that can be true together
      const names = (list) => list.map(className).join(', ') || 'none';
      const {gt, pred} = item.several;
      return [...gt === null ? [] : [h('span', {}, `true: ${names(gt)}`)],
              h('span', {}, `predicted: ${names(pred)}`)];
    }
    const score = `${className(item.pred)}, ${percent(item.confidence)}`;
    if (item.gt === null) {
      return [h('span', {}, `predicted: ${score}`)];
    }
    return isWrong(item) ?
      [h('span', {}, `true: ${className(item.gt)}`),
       h('span', {className: 'wrong'}, `✗ predicted: ${score}`)] :
      [h('span', {className: 'right'}, `✓ ${score}`)];
  }

  /* Whether the map of a card is that of the one predicted class, and needs
   * no name. */
  function isPredicted(item) {
    const {pred} = labels(item);
    return pred.length === 1 && pred[0] === mapClass(item);
  }

  /* Whose maps the cards show, for their colour bar. */
  function whose(items) {
    if (items.every(isPredicted)) {
      return ' of the predicted class';
    }
    return items.some(isPredicted) ?
      ' of the predicted class, or of that which a card names' :
      ' of the class which a card names';
  }

  function card(item) {
    const element = h('a', {
      className: 'card', href: `#image=${item.index}`},
      h('span', {className: 'thumbs'}),
      h('span', {className: 'name'}, item.name), ...verdict(item),
      ...isPredicted(item) ? [] : [h('span', {className: 'whose'},
        `map: ${className(mapClass(item))}`)]);
    element.dataset.index = item.index;
    return element;
  }

  /* Photo, map or both in a card. */
  async function paint(element, item, shown, scale) {
    const thumbs = [];
    if (shown !== 'map') {
      thumbs.push(photo(item));
    }
    if (shown !== 'photo') {
      const [picture, canvas] = stack(item, WIDTH);
      thumbs.push(picture);
      const codes = await item.maps();
      Heat.paint(canvas, scale, 1, sampled(
        item, codes, canvas, item.layers.length - 1,
        item.classes.indexOf(mapClass(item)), null));
    }
    for (const thumb of thumbs) {
      // as wide as the height of a card allows
      thumb.style.setProperty('--aspect', item.width / item.height);
    }
    if (element.dataset.shown === shown) { // still
      element.querySelector('.thumbs').replaceChildren(...thumbs);
    }
  }

  /* What is shown, as a table for other programs. */
  function toCSV(items) {
    const quote = (value) => {
      const text = String(value ?? '');
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const names = (classes) => classes.map(className).join('; ');
    const rows = items.map((item) => [
      item.name, names(labels(item).gt), names(labels(item).pred),
      className(item.pred), item.confidence,
      item.gt === null ? '' : !isWrong(item), item.even?.score]);
    return [['name', 'true', 'predicted', 'best', 'score', 'correct',
             'even_score'], ...rows].map((row) => row.map(quote).join(',')).join('\r\n') +
      '\r\n';
  }

  /* Fill `container`; `onChange(filter, order)` follows the user. */
  function create(container, items, onChange) {
    const scale = Heat.scale(items, null, true, mapClass);
    let shown = '';
    let order = [];
    const observer = watch((element) => {
      const item = items[Number(element.dataset.index)];
      element.dataset.shown = shown;
      paint(element, item, shown, scale).catch((error) => {
        element.querySelector('.thumbs').replaceChildren(photo(item), h(
          'span', {className: 'wrong'}, `No map: ${error.message}`));
      });
    });
    const cards = items.map(card);
    const grid = h('div', {className: 'grid'});
    const bar = h('div', {className: 'bars'}, mainBar(
      scale, whose(items) + (scale.signed ? '' : ', mean of heads')));
    const count = h('output', {});
    const used = [...new Set(items.flatMap(
      (item) => [...labels(item).gt, ...labels(item).pred]))]
      .sort((a, b) => a - b);
    const field = (name, label, control) => {
      control.name = name;
      control.id = `filter-${name}`;
      return h('p', {className: 'field'},
               h('label', {htmlFor: control.id}, label), control);
    };
    const option = ([key, text]) => h('option', {value: key}, text);
    const number = (placeholder) => h('input', {
      type: 'number', min: 0, max: 100, step: 'any', placeholder});
    const classes = (none) => h('select', {}, option(['', none]),
      ...used.map((cls) => option([cls, className(cls)])));
    const form = h('form', {className: 'filters', 'aria-label': 'photos'},
      field('show', 'Show', h('select', {}, ...pictures.map(option))),
      field('sort', 'Sort by', h('select', {}, ...Object.entries(orders).map(
        ([key, [text]]) => option([key, text])))),
      field('of', 'Class', classes('all classes')),
      field('as', 'which is', h('select', {}, ...Object.entries(roles).map(
        ([key, [text]]) => option([key, text])))),
      field('with', 'confused with', classes('any or none')),
      field('min', 'Confidence from, %', number('0')),
      field('max', 'to, %', number('100')),
      field('q', 'Text', h('input', {type: 'search',
                                     placeholder: 'file or class'})),
      h('p', {className: 'field check'}, h('label', {}, h('input', {
        type: 'checkbox', name: 'errors', id: 'filter-errors', value: '1',
        disabled: !items.some((item) => item.gt !== null)}), 'errors only')),
      h('button', {type: 'reset'}, 'Reset'),
      h('button', {type: 'button', id: 'csv', onclick: () => Figure.save(
        new Blob([toCSV(order.map((index) => items[index]))],
                 {type: 'text/csv'}), 'photos.csv')}, 'Save as CSV'),
      count);

    function apply(filter) {
      order = arrange(items, filter);
      shown = filter.show || '';
      bar.hidden = shown === 'photo';
      grid.dataset.show = shown;
      for (const index of order) {
        if (cards[index].dataset.shown !== shown) {
          observer.observe(cards[index]);
        }
      }
      grid.replaceChildren(...order.map((index) => cards[index]));
      count.value = `${order.length} of ${items.length} images`;
      return order;
    }

    function read() {
      const filter = Object.fromEntries(new FormData(form));
      onChange(filter, apply(filter));
    }

    form.oninput = read;
    form.onsubmit = (event) => event.preventDefault();
    form.onreset = () => setTimeout(read);
    container.replaceChildren(form, bar, grid);

    /* From the card in focus, left, right, and up or down by a row. */
    grid.onkeydown = (event) => {
      const at = order.indexOf(Number(document.activeElement.dataset.index));
      const row = getComputedStyle(grid).gridTemplateColumns.split(' ').length;
      const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row,
                    ArrowDown: row}[event.key];
      const next = step && at >= 0 && cards[order[at + step]];
      if (next && !(event.altKey || event.ctrlKey || event.metaKey)) {
        next.focus();
        event.preventDefault();
      }
    };

    /* Set the form to a filter that comes from a link. */
    function set(filter) {
      for (const name of FIELDS) {
        const control = form.elements[name];
        if (control.type === 'checkbox') {
          control.checked = Boolean(filter[name]);
        } else {
          control.value = filter[name] || (name === 'sort' ? 'order' : '');
        }
      }
      return apply(filter);
    }
    return {set, focus: (index) => cards[index].focus()};
  }

  return {create, watch, verdict};
})();
