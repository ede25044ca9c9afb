'use strict';

/* Decodes, samples and paints maps of attention or evidence. It touches no
 * page element but the canvas it paints, so that its numbers can be checked on
 * their own. */
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

  const isEvidence = (item) => item.kind === 'evidence';

  /* One map, in multiples of uniform attention, or of evidence. Where `head`
   * is null, the mean of the heads, or the sum of their evidence. `layer` and
   * `place` count the item's own lists. */
  function take(item, codes, layer, place, head) {
    const [heads, h, w] = item.grid;
    const cells = h * w;
    const values = new Float64Array(cells);
    const first = (layer * item.classes.length + place) * heads;
    const chosen = head === null ? [...Array(heads).keys()] : [head];
    const decode = isEvidence(item) ?
      (code) => (code - 128) / 127 * item.peaks[layer] :
      (code) => ratios[code] / chosen.length;
    for (const index of chosen) {
      const start = (first + index) * cells;
      for (let i = 0; i < cells; i++) {
        values[i] += decode(codes[start + i]);
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

  /* The common scale of some items of one kind: `signed` and linear for
   * evidence, else logarithmic, of maps of heads in a layer (null is the last)
   * or of their mean or sum; of evidence, those of the class that `whose`
   * gives of an item, or all and their differences. A tenth of the items may
   * exceed it, as a few would empty the others, or half of them where it is
   * linear: about what the quantile of all cells together is. `beyond` is
   * whether any cell does. */
  function scale(items, layer, isMean, whose) {
    const signed = items.some(isEvidence);
    const ends = items.map((item) => {
      if (signed && !whose) {
        return [item.top, item.top];
      }
      const all = isMean ? item.mean_ends : item.head_ends;
      return all[signed ? item.classes.indexOf(whose(item)) :
        layer === null ? all.length - 1 : item.layers.indexOf(layer)];
    });
    const tops = ends.map(([top]) => top).sort((a, b) => a - b);
    const share = signed ? .5 : .9;
    const top = Math.max(signed ? 1e-9 : 10,
                         tops[Math.ceil(share * tops.length) - 1] ?? 0);
    return {signed, top,
            beyond: ends.some(([, highest]) => highest > 1.001 * top)};
  }

  /* The scale of differences of two maps that have another: that of evidence
   * itself; of attention linear up to once uniform attention, and logarithmic
   * beyond, as difference_scale in Python. */
  const difference = (scale) => scale.signed ? scale :
    {...scale, signed: true, bent: true};

  /* Decades beyond 1; up to there, as long as half a decade and its rest. */
  const bend = (size) => size <= 1 ? size * .5 / .9 : .5 / .9 + Math.log10(size);

  /* Place on the scale: 1 at its top, 0 at uniform attention and below; -1 to
   * 1 for evidence and differences. */
  function level(value, {signed, bent, top}) {
    if (signed) {
      const size = bent ? bend(Math.abs(value)) / bend(top) :
        Math.abs(value) / top;
      return Math.sign(value) * Math.min(size, 1);
    }
    return value > 1 ? Math.min(Math.log(value) / Math.log(top), 1) : 0;
  }

  /* Paint heat over an image; `less`, if given, is taken from `more`. */
  function paint(canvas, scale, opacity, more, less) {
    const used = less ? difference(scale) : scale;
    const lut = luts[used.signed ? 'difference' : 'heat'];
    const context = canvas.getContext('2d');
    const picture = context.createImageData(canvas.width, canvas.height);
    for (let i = 0; i < more.length; i++) {
      let place = level(less ? more[i] - less[i] : more[i], used);
      if (used.signed) {
        place = (place + 1) / 2;
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

  return {inflate, isEvidence, take, sample, scale, difference, level, paint,
          paintBar};
})();
