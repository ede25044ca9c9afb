'use strict';

/* What the report says of all its images together: figures, the pairs that
 * are confused, and a table of classes whose rows filter the gallery. */
const Summary = (() => {
  const {h, className} = Viewer;
  const number = (value) => value.toLocaleString('en');
  const percent = (value) =>
    value === null || value === undefined ? '–' : value.toFixed(1);

  function facts({images, labelled, several, accuracy, chosen, facts,
                  written}) {
    const list = [];
    const add = (name, value, detail) => list.push(h('div', {},
      h('dt', {}, name), h('dd', {}, value, h('small', {}, detail))));
    const of = !chosen.length ? '' : chosen.length > 3 ?
      `only of ${chosen.length} named classes, ` :
      `only of ${chosen.map(className).join(' or ')}, `;
    if (accuracy) {
      const {right, value, low, high} = accuracy;
      add('Accuracy', `${percent(value)} %`,
          `${chosen.length ? 'of the named classes only, ' : ''}` +
          `95 % interval ${percent(low)} to ${percent(high)}`);
      add('Photos', number(images), of + (labelled < images ?
        `${number(labelled)} with a known class, of which ` +
        `${number(labelled - right)} told wrong` :
        `${number(labelled - right)} told wrong`));
    } else {
      add('Photos', number(images), of + (several ?
        'several classes can be true' : 'their true class is not known'));
    }
    const [first] = Object.entries(facts);
    if (first) {
      const [name, value] = first;
      const [, short, rest] = value.match(/^(.*?)(?:, ([^,]*))?$/s);
      add(name, short, rest ?? '');
    }
    add('Written', written.split(' ')[0], written.split(' ')[1]);
    return h('dl', {className: 'facts'}, ...list);
  }

  function pairs(summary) {
    return h('p', {className: 'pairs'}, 'Most confused: ',
      ...summary.pairs.map(({classes: [a, b], taken, images}) => h('a', {
        href: `#of=${a}&with=${b}`,
        title: `${taken[0]} × ${className(a)} taken for ${className(b)}, ` +
          `${taken[1]} × the reverse, of ${images} photos`},
        `${className(a)} and ${className(b)}`,
        h('b', {}, ` ${taken[0] + taken[1]}`))));
  }

  /* Columns: heading, what a row is sorted by, what its cell shows. */
  function columns(summary) {
    const link = (text, query) => h('a', {href: `#${query}`}, text);
    const counted = (name, value, query) => [name, value, (row) =>
      value(row) ? link(number(value(row)), `of=${row.label}&${query}`) : '0'];
    const known = summary.accuracy ? [
      counted('Photos', (row) => row.images, 'as=gt'),
      counted('Told wrong', (row) => row.wrong, 'as=gt&errors=1'),
      ['Recall, %', (row) => row.recall ?? -1, (row) => percent(row.recall)],
      // photos of other classes, which may be predicted as this, are left out
      ...summary.chosen.length ? [['Precision, %', null, () => percent()]] :
        [['Precision, %', (row) => row.precision ?? -1,
          (row) => percent(row.precision)]]] : [];
    return [
      ['Class', (row) => className(row.label), (row) => link(
        className(row.label), `of=${row.label}`)],
      ...known,
      counted('Predicted', (row) => row.predicted, 'as=pred'),
      ['Where it looks', null, (row) => {
        const maps = link('maps', `class=${row.label}`);
        maps.setAttribute('aria-label', `maps of ${className(row.label)}`);
        return maps;
      }]];
  }

  function table(summary) {
    const all = columns(summary);
    const rows = summary.classes.map((row) => [row, h('tr', {}, ...all.map(
      ([, , show], i) => h(i ? 'td' : 'th', i ? {} : {scope: 'row'},
        show(row))))]);
    const body = h('tbody', {}, ...rows.map(([, element]) => element));
    function sort(place, heading) {
      // names from A on, numbers from the largest, and again the reverse
      const before = heading.getAttribute('aria-sort');
      const up = before ? before === 'descending' : place === 0;
      const value = all[place][1];
      rows.sort(([a], [b]) => (up ? 1 : -1) * (place === 0 ?
        value(a).localeCompare(value(b)) : value(a) - value(b)));
      for (const other of headings) {
        other.removeAttribute('aria-sort');
      }
      heading.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      body.append(...rows.map(([, element]) => element));
    }
    const headings = all.map(([name, value], place) => {
      const heading = h('th', {scope: 'col'});
      heading.append(value ? h('button', {
        type: 'button', onclick: () => sort(place, heading)}, name) : name);
      return heading;
    });
    return h('div', {className: 'scroll', tabIndex: 0, role: 'region',
                     'aria-label': 'classes'},
             h('table', {}, h('thead', {}, h('tr', {}, ...headings)), body));
  }

  const details = (name, ...content) => h('details', {},
    h('summary', {}, name), ...content);

  /* Fill the elements above the gallery. */
  function show(summary, figures, tables) {
    figures.replaceChildren(facts(summary));
    tables.replaceChildren(
      ...summary.pairs.length ? [pairs(summary)] : [],
      details(`Each class (${summary.classes.length})`,
        ...summary.accuracy && summary.chosen.length ? [h('p', {},
          'These photos were chosen by their true class, which leaves ' +
          'precision unknown.')] : [], table(summary)),
      ...Object.keys(summary.facts).length ? [details('Settings', h('dl', {
        className: 'settings'}, ...Object.entries(summary.facts).flatMap(
        ([name, value]) => [h('dt', {}, name), h('dd', {}, value)])))] : []);
  }

  return {show};
})();
