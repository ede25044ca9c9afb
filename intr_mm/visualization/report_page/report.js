'use strict';

/* Routes of the report: gallery, #image=12&class=3&head=2&layer=2 and
 * #class=3&head=2. All are indices, as everywhere in intr_mm. */
(() => {
  const {h, className} = Viewer;
  const {title} = JSON.parse(document.getElementById('settings').textContent);
  const items = JSON.parse(document.getElementById('items').textContent);
  const main = document.getElementById('main');
  const views = {};
  for (const name of ['gallery', 'detail', 'class-page']) {
    views[name] = h('section', {id: name, hidden: true});
    main.append(views[name]);
  }

  /* Text of an element that may still be on its way: images and maps follow
   * this script, so that the gallery is there before them. */
  async function text(id) {
    const isWhole = (element) => document.readyState !== 'loading' ||
      (element && element.nextElementSibling);
    let element = document.getElementById(id);
    while (!isWhole(element)) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      element = document.getElementById(id);
    }
    return element.textContent;
  }

  items.forEach((item, index) => {
    item.index = index;
    item.image = async () =>
      `data:image/jpeg;base64,${await text(`image-${index}`)}`;
    item.maps = async () => Heat.inflate(await text(`maps-${index}`));
  });

  let filter = {};
  let order = [];
  let current = null;
  const gallery = Gallery.create(views.gallery, items, (chosen, indices) => {
    filter = chosen;
    order = indices;
    replace(galleryLink());
  });

  function link(parameters) {
    const kept = Object.entries(parameters).filter(
      ([, value]) => value !== null && value !== undefined && value !== '');
    return `#${new URLSearchParams(kept)}`;
  }

  const galleryLink = () => link(
    {...filter, sort: filter.sort === 'order' ? '' : filter.sort});
  const replace = (hash) => history.replaceState(null, '', hash);

  function parse() {
    const route = Object.fromEntries(
      new URLSearchParams(location.hash.slice(1)));
    const number = (key) =>
      route[key] === undefined ? null : Number(route[key]);
    return {route, state: {
      cls: number('class'), versus: number('versus'),
      head: number('head'), layer: number('layer'),
      opacity: number('opacity') ?? 1, group: route.of}};
  }

  const toHash = (state) => ({
    class: state.cls, head: state.head, layer: state.layer});

  const imageLink = (index, state) => link({
    image: index, ...toHash(state), versus: state.versus,
    opacity: state.opacity === 1 ? '' : state.opacity});

  /* The image before (-1) or after (1) in the order of the gallery. */
  function neighbour(step) {
    const place = order.indexOf(current.index);
    return place < 0 ? undefined : order[place + step];
  }

  async function showImage(index, wanted) {
    const item = items[index];
    current = {index, state: wanted};
    const button = (step, label) => {
      const other = neighbour(step);
      return h('button', {type: 'button', disabled: other === undefined,
                          onclick: () => go(step)}, label);
    };
    const heading = h('h2', {tabIndex: -1},
                      item.name || `image ${index}`);
    const viewer = h('div', {});
    const classLink = h('a', {});
    views.detail.replaceChildren(
      h('nav', {className: 'steps', 'aria-label': 'images'},
        h('a', {href: galleryLink()}, 'all photos'),
        button(-1, '← previous'), button(1, 'next →'), classLink,
        h('span', {className: 'keys'}, 'Keys: ← → photos, Esc back')),
      heading, h('p', {className: 'verdict'}, ...Gallery.verdict(item)),
      viewer);
    const follow = (state) => {
      classLink.textContent = `${className(state.cls)} in other images`;
      classLink.href = link(toHash(state));
    };
    heading.focus();
    await Viewer.show(viewer, item, wanted, (state) => {
      current.state = state;
      follow(state);
      replace(imageLink(index, state));
    });
    follow(Viewer.complete(item, wanted));
  }

  function go(step) {
    const other = neighbour(step);
    if (other !== undefined) {
      // head, layer and opacity stay; the class is that of the next image
      location.hash = imageLink(
        other, {...current.state, cls: null, versus: null});
    }
  }

  function route() {
    const {route, state} = parse();
    const name = route.image !== undefined ? 'detail' :
      route.class !== undefined ? 'class-page' : 'gallery';
    for (const [key, view] of Object.entries(views)) {
      view.hidden = key !== name;
    }
    for (const id of ['figures', 'tables']) {
      document.getElementById(id).hidden = name !== 'gallery';
    }
    const left = current;
    current = null;
    if (name === 'gallery') {
      filter = route;
      order = gallery.set(filter);
      if (left && order.includes(left.index)) {
        gallery.focus(left.index);
      }
    } else if (name === 'class-page') {
      ClassPage.show(views[name], items, state, (chosen) => {
        location.hash = link({...toHash(chosen), of: chosen.group});
      }).focus();
      views[name].prepend(h('nav', {className: 'steps'},
        h('a', {href: galleryLink()}, 'all photos')));
    } else if (items[Number(route.image)]) {
      showImage(Number(route.image), state).catch((error) => {
        views[name].append(h('p', {role: 'alert'},
          `The maps cannot be shown: ${error.message}`));
      });
    } else {
      views[name].replaceChildren(h('p', {role: 'alert'},
        `There is no image ${route.image} in this report.`));
    }
  }

  document.addEventListener('keydown', (event) => {
    const step = Viewer.stepOf(event);
    if (current && step) {
      go(step);
      event.preventDefault();
    } else if (event.key === 'Escape' && views.gallery.hidden &&
               !event.target.matches('input, select')) {
      location.hash = galleryLink();
    }
  });

  document.querySelector('h1').textContent = title;
  Summary.show(
    JSON.parse(document.getElementById('summary').textContent),
    document.getElementById('figures'), document.getElementById('tables'));
  order = gallery.set(filter);
  window.addEventListener('hashchange', route);
  route();
  document.body.dataset.ready = true;
})();
