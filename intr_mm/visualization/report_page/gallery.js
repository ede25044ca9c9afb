'use strict';

/* All images, sorted and filtered. A picture is loaded when it is seen. */
const Gallery = (() => {
  const {h, className, percent} = Viewer;

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

  const isWrong = (item) => item.gt !== null && item.gt !== item.pred;

  function matches(item, filter) {
    const text = (filter.q || '').trim().toLowerCase();
    const words = [item.name, className(item.pred)];
    if (item.gt !== null) {
      words.push(className(item.gt));
    }
    return (!filter.errors || isWrong(item)) &&
      (!filter.of || [item.gt, item.pred].includes(Number(filter.of))) &&
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
    const score = `${className(item.pred)}, ${percent(item.confidence)}`;
    if (item.gt === null) {
      return [h('span', {}, `predicted: ${score}`)];
    }
    return isWrong(item) ?
      [h('span', {}, `true: ${className(item.gt)}`),
       h('span', {className: 'wrong'}, `✗ predicted: ${score}`)] :
      [h('span', {className: 'right'}, `✓ ${score}`)];
  }

  function card(item, observer) {
    const image = h('img', {alt: item.name || `image ${item.index + 1}`,
                            width: item.width, height: item.height});
    const element = h('a', {
      className: 'card', href: `#image=${item.index}`},
      image, h('span', {className: 'name'}, item.name), ...verdict(item));
    element.dataset.index = item.index;
    observer.observe(element);
    return element;
  }

  /* Fill `container`; `onChange(filter, order)` follows the user. */
  function create(container, items, onChange) {
    const observer = watch(async (element) => {
      const item = items[Number(element.dataset.index)];
      element.querySelector('img').src = await item.image();
    });
    const cards = items.map((item) => card(item, observer));
    const grid = h('div', {className: 'grid'});
    const count = h('output', {});
    const used = [...new Set(items.flatMap(
      (item) => item.gt === null ? [item.pred] : [item.gt, item.pred]))]
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
    const form = h('form', {className: 'filters'},
      field('sort', 'Sort by', h('select', {}, ...Object.entries(orders).map(
        ([key, [text]]) => option([key, text])))),
      field('of', 'Class, true or predicted', h('select', {},
        option(['', 'all classes']),
        ...used.map((cls) => option([cls, className(cls)])))),
      field('min', 'Confidence from, %', number('0')),
      field('max', 'to, %', number('100')),
      field('q', 'Text', h('input', {type: 'search',
                                     placeholder: 'file or class'})),
      field('errors', 'Errors only', h('input', {
        type: 'checkbox', value: '1',
        disabled: !items.some((item) => item.gt !== null)})),
      h('button', {type: 'reset'}, 'Reset'), count);

    function apply(filter) {
      const order = arrange(items, filter);
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
    container.replaceChildren(form, grid);

    /* Set the form to a filter that comes from a link. */
    function set(filter) {
      for (const name of ['sort', 'of', 'min', 'max', 'q', 'errors']) {
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
