// Charts of the last two minutes, as SVG.

import { h, measured, number, svg } from './dom.js';

const SECONDS = 120;
/** The width of a picture that is not shown yet. */
const WIDTH = 260;
const HEIGHT = 110;
const LEFT = 38;
const BOTTOM = 16;
const TOP = 6;

/** Returns the least of 1, 2, 5, 10, 20 … that is not below a value, so that axes have round numbers. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999) ?? value;
}

/**
 * Creates a chart: a figure with a title, a picture, its words, and a legend.
 *
 * `series` are names by key. `kind` is `lines`, `stack` or `bars`; bars stand for values by label, without time.
 */
export function chart({ title, unit, kind, series }) {
  const picture = svg('svg', { role: 'img', class: 'chart' });
  const now = h('span', { className: 'now' });
  const keys = Object.keys(series);
  const legend = keys.length > 1 && h('ul', { className: 'legend' },
    keys.map((key, index) => h('li', {}, h('span', { className: `key c${index}`, 'aria-hidden': 'true' }), series[key])));
  const figure = h('figure', {}, h('figcaption', {}, title, ' ', now), picture, legend || null);
  const draw = kind === 'bars' ? drawBars : drawTime;
  return {
    figure,
    /** Draws values: a list with one object a second (null for none), or for bars an object. */
    show(values) {
      // In pixels of the screen, so that letters have the same size in every window.
      const width = picture.clientWidth || WIDTH;
      picture.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
      const words = draw(picture, values, { keys, kind, unit, width });
      now.textContent = words.now;
      picture.setAttribute('aria-label', `${title}: ${words.all}`);
    },
  };
}

function axis(most, unit, width) {
  const parts = [];
  for (const share of [0, 0.5, 1]) {
    const y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - share);
    parts.push(svg('line', { x1: LEFT, x2: width, y1: y, y2: y, class: 'grid' }));
    const label = svg('text', { x: LEFT - 4, y: y + 3.5, class: 'end' });
    label.textContent = number(most * share);
    parts.push(label);
  }
  const ends = [[LEFT, 'start', '2 min ago'], [width, 'end', 'now']];
  for (const [x, anchor, words] of unit === 'rows' ? [] : ends) {
    const label = svg('text', { x, y: HEIGHT - 3, class: anchor });
    label.textContent = words;
    parts.push(label);
  }
  return parts;
}

function drawTime(picture, values, { keys, kind, unit, width }) {
  const total = (value) => keys.reduce((sum, key) => sum + (value?.[key] ?? 0), 0);
  const greatest = (value) => Math.max(...keys.map((key) => value?.[key] ?? 0));
  const peak = Math.max(0, ...values.map(kind === 'stack' ? total : greatest));
  const most = peak > 0 ? roundUp(peak) : 1;
  const step = (width - LEFT) / SECONDS;
  const x = (index) => LEFT + (index + SECONDS - values.length + 0.5) * step;
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
  const shapes = kind === 'stack' ? stack(values, keys, { x, y, step }) : lines(values, keys, { x, y });
  picture.replaceChildren(...axis(most, unit, width), ...shapes);
  const last = values.at(-1);
  // Of lines, the first is the one to name.
  const all = kind === 'stack' ? (last ? total(last) : 0) : last?.[keys[0]] ?? null;
  const words = all === null ? 'no values now' : `${measured(all)} ${unit}`;
  return { now: all === null ? '' : words, all: `now ${words}, at most ${measured(peak)} ${unit} in two minutes` };
}

function stack(values, keys, { x, y, step }) {
  const shapes = [];
  values.forEach((value, index) => {
    let below = 0;
    keys.forEach((key, number) => {
      const part = value?.[key] ?? 0;
      if (part <= 0) return;
      const [top, bottom] = [y(below + part), y(below)];
      shapes.push(svg('rect', {
        x: x(index) - step / 2, width: Math.max(step - 0.4, 0.5), y: top, height: Math.max(bottom - top, 0.8), class: `c${number}`,
      }));
      below += part;
    });
  });
  return shapes;
}

function lines(values, keys, { x, y }) {
  const shapes = [];
  keys.forEach((key, index) => {
    let path = '';
    let isDown = false;
    values.forEach((value, second) => {
      const point = value?.[key];
      if (point === undefined || point === null) {
        isDown = false;
        return;
      }
      path += `${isDown ? 'L' : 'M'}${x(second).toFixed(1)} ${y(point).toFixed(1)}`;
      // A lonely point is drawn as a short stroke.
      if (!isDown) path += 'h0.01';
      isDown = true;
    });
    if (path) shapes.push(svg('path', { d: path, class: `line c${index}` }));
  });
  return shapes;
}

function drawBars(picture, values, { unit, width }) {
  const labels = Object.keys(values).sort((left, right) => left - right);
  const peak = Math.max(0, ...Object.values(values));
  const most = peak > 0 ? roundUp(peak) : 1;
  const step = (width - LEFT) / Math.max(labels.length, 8);
  const bars = labels.flatMap((label, index) => {
    const height = (HEIGHT - TOP - BOTTOM) * (values[label] / most);
    const x = LEFT + index * step;
    const bar = svg('rect', { x: x + step * 0.1, width: step * 0.8, y: HEIGHT - BOTTOM - height, height, class: 'c0' });
    const text = svg('text', { x: x + step / 2, y: HEIGHT - 3, class: 'middle' });
    text.textContent = label;
    return labels.length > 16 && index % 4 > 0 ? [bar] : [bar, text];
  });
  picture.replaceChildren(...axis(most, unit, width), ...bars);
  const runs = labels.map((label) => `${number(values[label])} of ${label} ${unit}`);
  return { now: '', all: runs.length > 0 ? `runs in two minutes: ${runs.join(', ')}` : 'no runs in two minutes' };
}

/** The samples of the last two minutes. */
export class Window {
  #samples = [];

  add(sample) {
    this.#samples.push(sample);
    if (this.#samples.length > SECONDS) this.#samples.shift();
  }

  clear() {
    this.#samples = [];
  }

  /** The activity of a model each second, over all its versions. */
  ofModel(name) {
    return this.#samples.map((sample) => {
      const versions = sample.models.filter((model) => model.name === name);
      return versions.length > 0 ? { seconds: sample.seconds, versions } : null;
    });
  }

  /** The activity of the gateway each second. */
  ofGateway() {
    return this.#samples.map((sample) => sample.gateway && { seconds: sample.seconds, ...sample.gateway });
  }
}

const PERCENTILES = { p50: 'median', p95: '95 %', p99: '99 %' };

const sum = (versions, of) => versions.reduce((total, version) => total + of(version), 0);

/** Creates the charts of a model. */
export function modelCharts() {
  const requests = chart({ title: 'Requests', unit: '/ s', kind: 'stack', series: { succeeded: 'answered', failed: 'failed' } });
  const times = chart({ title: 'Time of a run', unit: 'ms', kind: 'lines', series: PERCENTILES });
  const batches = chart({ title: 'Rows of a run', unit: 'rows', kind: 'bars', series: { runs: 'runs' } });
  const queue = chart({ title: 'Waiting for a run', unit: 'requests', kind: 'stack', series: { waiting: 'waiting' } });
  const charts = [requests, times, batches, queue];
  return {
    figures: charts.map((each) => each.figure),
    show(seconds) {
      requests.show(seconds.map((second) => second && {
        succeeded: sum(second.versions, (version) => version.succeeded) / second.seconds,
        failed: sum(second.versions, (version) => version.failed) / second.seconds,
      }));
      // The durations are those of the model, so any version has them. Without metrics there is only the mean.
      times.show(seconds.map((second) => {
        const version = second?.versions.find((one) => one.run_ms) ?? second?.versions.find((one) => one.mean_ms);
        return version && (version.run_ms ?? { p50: version.mean_ms.run });
      }));
      const sizes = {};
      for (const version of seconds.flatMap((second) => second?.versions ?? [])) {
        for (const [rows, runs] of Object.entries(version.batches)) sizes[rows] = (sizes[rows] ?? 0) + runs;
      }
      batches.show(sizes);
      queue.show(seconds.map((second) => second && { waiting: sum(second.versions, (version) => version.waiting) }));
    },
  };
}

const GRPC_REFUSALS = { RESOURCE_EXHAUSTED: 'quota', UNAUTHENTICATED: 'token', PERMISSION_DENIED: 'token' };

/** Returns the kind of a status of HTTP or gRPC. */
function kindOf(status) {
  if (status === 'OK' || /^[123]/.test(status)) return 'good';
  if (/^5/.test(status) || ['INTERNAL', 'UNAVAILABLE', 'UNKNOWN', 'DATA_LOSS', 'DEADLINE_EXCEEDED'].includes(status)) return 'error';
  return 'bad';
}

function refusalOf(status) {
  if (status === '429') return 'quota';
  if (status === '401' || status === '403') return 'token';
  if (status === '503') return 'full';
  return GRPC_REFUSALS[status] ?? (kindOf(status) === 'bad' ? 'body' : null);
}

function grouped(responses, group, seconds) {
  const groups = {};
  for (const [status, count] of Object.entries(responses ?? {})) {
    const name = group(status);
    if (name) groups[name] = (groups[name] ?? 0) + count / seconds;
  }
  return groups;
}

/** Creates the charts of the gateway. */
export function gatewayCharts() {
  const responses = chart({
    title: 'Responses', unit: '/ s', kind: 'stack', series: { good: '2xx', bad: '4xx', error: '5xx' },
  });
  const times = chart({ title: 'Time of a response', unit: 'ms', kind: 'lines', series: PERCENTILES });
  const refusals = chart({
    title: 'Refused', unit: '/ s', kind: 'stack', series: { body: 'request', quota: 'quota', token: 'token', full: 'no room' },
  });
  const flight = chart({ title: 'In progress', unit: 'requests', kind: 'stack', series: { flight: 'in progress' } });
  const charts = [responses, times, refusals, flight];
  return {
    figures: charts.map((each) => each.figure),
    show(seconds) {
      responses.show(seconds.map((second) => second && grouped(second.responses, kindOf, second.seconds)));
      times.show(seconds.map((second) => second?.duration_ms));
      refusals.show(seconds.map((second) => second && grouped(second.responses, refusalOf, second.seconds)));
      flight.show(seconds.map((second) => second && { flight: second.in_flight ?? 0 }));
    },
  };
}
