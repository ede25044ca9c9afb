'use strict';

/* Decodes, samples and paints attention maps. It touches no page element but
 * the canvas it paints, so that its numbers can be checked on their own. */
const Heat = (() => {
  const {floor, step, colors} = JSON.parse(
    document.getElementById('settings').textContent).heat;
  const luts = {};
  for (const [name, base64] of Object.entries(colors)) {
    luts[name] = bytes(base64);
  }
  const ratios = Float64Array.from(
    {length: 256}, (_, code) => code && 2 ** (floor + (code - 1) * step));

  function bytes(base64) {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  }

  /* Codes of all maps of an image, (layers, classes, heads, h, w). */
  async function inflate(base64) {
    const stream = new Blob([bytes(base64)]).stream().pipeThrough(
      new DecompressionStream('deflate'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /* One map, or the mean of the heads where `head` is null, in multiples of
   * uniform attention. `layer` and `place` count the item's own lists. */
  function take(item, codes, layer, place, head) {
    const [heads, h, w] = item.grid;
    const cells = h * w;
    const values = new Float64Array(cells);
    const first = (layer * item.classes.length + place) * heads;
    const chosen = head === null ? [...Array(heads).keys()] : [head];
    for (const index of chosen) {
      const start = (first + index) * cells;
      for (let i = 0; i < cells; i++) {
        values[i] += ratios[codes[start + i]] / chosen.length;
      }
    }
    return values;
  }

  /* For each pixel of an axis: the cell before it and the weight of the next.
   * Cell i is centred on input pixel stride * i + offset. */
  function axis(cells, size, out, item) {
    const low = new Int32Array(out);
    const weight = new Float64Array(out);
    for (let p = 0; p < out; p++) {
      const pixel = (p + .5) * size / out - .5;
      const cell = Math.min(
        Math.max((pixel - item.offset) / item.stride, 0), cells - 1);
      low[p] = Math.floor(cell);
      weight[p] = cell - low[p];
    }
    return {low, weight};
  }

  /* Values at the pixels of a picture, as sample_attention in Python:
   * bilinear between the centres of cells, the nearest cell outside. */
  function sample(item, values, width, height) {
    const [, h, w] = item.grid;
    const y = axis(h, item.size[0], height, item);
    const x = axis(w, item.size[1], width, item);
    const heat = new Float64Array(width * height);
    for (let row = 0; row < height; row++) {
      const top = y.low[row] * w;
      const bottom = Math.min(y.low[row] + 1, h - 1) * w;
      const v = y.weight[row];
      for (let column = 0; column < width; column++) {
        const left = x.low[column];
        const right = Math.min(left + 1, w - 1);
        const u = x.weight[column];
        heat[row * width + column] =
          (values[top + left] * (1 - u) + values[top + right] * u) * (1 - v) +
          (values[bottom + left] * (1 - u) + values[bottom + right] * u) * v;
      }
    }
    return heat;
  }

  /* Place on the logarithmic scale: 0 at uniform and below, 1 at the peak. */
  function level(ratio, peak) {
    return ratio > 1 ? Math.min(Math.log(ratio) / Math.log(peak), 1) : 0;
  }

  /* Paint heat over an image; `less`, if given, is taken from `more`, both on
   * the scale, so that 1 is `peak` times the attention and -1 the reverse. */
  function paint(canvas, peak, opacity, more, less) {
    const lut = less ? luts.difference : luts.heat;
    const context = canvas.getContext('2d');
    const picture = context.createImageData(canvas.width, canvas.height);
    for (let i = 0; i < more.length; i++) {
      let place = level(more[i], peak);
      if (less) {
        place = (place - level(less[i], peak) + 1) / 2;
      }
      const color = Math.round(place * 255) * 4;
      picture.data.set(lut.subarray(color, color + 3), i * 4);
      picture.data[i * 4 + 3] = lut[color + 3] * opacity;
    }
    context.putImageData(picture, 0, 0);
  }

  /* Colour bar whose left end is the lower end of the scale. */
  function paintBar(canvas, name) {
    const context = canvas.getContext('2d');
    canvas.width = 256;
    canvas.height = 1;
    const picture = context.createImageData(256, 1);
    picture.data.set(luts[name]);
    context.putImageData(picture, 0, 0);
  }

  return {inflate, take, sample, level, paint, paintBar};
})();
