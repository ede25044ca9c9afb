'use strict';

/* What is shown, as a picture to keep: PNG, or SVG with type as type. */
const Figure = (() => {
  const FONT = 'system-ui, sans-serif';
  const [GAP, LINE, SIZE, WIDTH] = [24, 22, 15, 420];
  const SHARP = 2; // pixels for each unit of length

  const element = (tag) => document.createElement(tag);

  /* A panel, photo and heat in one, as finely as both are. */
  function flatten(panel, grey) {
    const [photo, heat] = ['img', 'canvas'].map((tag) =>
      panel.querySelector(tag));
    const width = Math.max(photo.naturalWidth, SHARP * WIDTH);
    const canvas = element('canvas');
    canvas.width = width;
    canvas.height = Math.round(
      width * photo.naturalHeight / photo.naturalWidth);
    const context = canvas.getContext('2d');
    const place = [0, 0, canvas.width, canvas.height];
    context.imageSmoothingQuality = 'high';
    context.filter = grey && heat ? 'grayscale(1)' : 'none';
    context.drawImage(photo, ...place);
    context.filter = 'none';
    if (heat) {
      context.drawImage(heat, ...place);
    }
    return canvas;
  }

  /* What stands where: pictures, and lines of text with what they are aligned
   * to and how wide they may be. */
  function layout(panels, bars) {
    const parts = {pictures: [], texts: []};
    const all = [...panels.children].map((panel) =>
      [panel, flatten(panel, panels.dataset.grey === 'true')]);
    const tallest = Math.max(...all.map(
      ([, {width, height}]) => WIDTH * height / width));
    all.forEach(([panel, canvas], i) => {
      const x = GAP + i * (WIDTH + GAP);
      parts.pictures.push([canvas, x, GAP, WIDTH,
                           WIDTH * canvas.height / canvas.width]);
      parts.texts.push([panel.querySelector('figcaption').textContent, x,
                        GAP + tallest + LINE, 'start', WIDTH]);
    });
    const y = GAP + tallest + 2.2 * LINE;
    let below = 2.3 * LINE;
    [...bars.children].forEach((bar, i) => { // below a map and the difference
      const x = GAP + (i ? all.length - 1 : 1) * (WIDTH + GAP);
      const colors = element('canvas');
      [colors.width, colors.height] = [256, 1];
      const context = colors.getContext('2d');
      context.fillStyle = '#808080';
      context.fillRect(0, 0, 256, 1);
      context.drawImage(bar.querySelector('canvas'), 0, 0, 256, 1);
      parts.pictures.push([colors, x, y, WIDTH, LINE / 2]);
      for (const tick of bar.querySelectorAll('.ticks span')) {
        parts.texts.push([
          tick.textContent, x + parseFloat(tick.style.left) / 100 * WIDTH,
          y + 1.3 * LINE, 'middle', WIDTH]);
      }
      const label = bar.querySelector('p').textContent;
      label.split('; ').forEach((line, i) => {
        parts.texts.push([line, x + WIDTH / 2, y + (2.3 + i) * LINE, 'middle',
                          WIDTH]);
        below = Math.max(below, (2.3 + i) * LINE);
      });
    });
    return {...parts, width: GAP + all.length * (WIDTH + GAP),
            height: y + below + GAP};
  }

  function toPNG({pictures, texts, width, height}) {
    const canvas = element('canvas');
    [canvas.width, canvas.height] = [SHARP * width, SHARP * height];
    const context = canvas.getContext('2d');
    context.scale(SHARP, SHARP);
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = 'high';
    pictures.forEach((picture) => context.drawImage(...picture));
    context.fillStyle = '#000';
    context.font = `${SIZE}px ${FONT}`;
    for (const [text, x, y, align, room] of texts) {
      context.textAlign = align === 'middle' ? 'center' : align;
      context.fillText(text, x, y, room);
    }
    return new Promise((resolve) => canvas.toBlob(resolve));
  }

  function toSVG({pictures, texts, width, height}) {
    const ruler = element('canvas').getContext('2d');
    ruler.font = `${SIZE}px ${FONT}`;
    const node = (tag, attributes, text = '') => {
      const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
      for (const [key, value] of Object.entries(attributes)) {
        made.setAttribute(key, value);
      }
      made.textContent = text;
      return made;
    };
    const svg = node('svg', {viewBox: `0 0 ${width} ${height}`, width, height,
                             'font-family': FONT, 'font-size': SIZE});
    svg.append(
      node('rect', {width, height, fill: '#fff'}),
      ...pictures.map(([canvas, x, y, w, tall]) => node('image', {
        x, y, width: w, height: tall, preserveAspectRatio: 'none',
        href: canvas.toDataURL()})),
      ...texts.map(([text, x, y, align, room]) => node('text', {
        x, y, 'text-anchor': align,
        ...ruler.measureText(text).width > room ?
          {textLength: room, lengthAdjust: 'spacingAndGlyphs'} : {}}, text)));
    return new Blob([new XMLSerializer().serializeToString(svg)],
                    {type: 'image/svg+xml'});
  }

  /* Hand a file to the reader. */
  function save(blob, name) {
    const link = element('a');
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  return {
    save,
    async png(panels, bars, name) {
      save(await toPNG(layout(panels, bars)), `${name}.png`);
    },
    async svg(panels, bars, name) {
      save(toSVG(layout(panels, bars)), `${name}.svg`);
    },
  };
})();
