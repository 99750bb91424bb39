// Elements, numbers and times as people read them.

/** Creates an element. Names with a dash and a few others are attributes, `on…` are listeners, the rest properties. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name.includes('-') || ['role', 'for', 'spellcheck'].includes(name)) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Creates an element of SVG; all properties are attributes. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Says something to screen readers. The same words twice are said twice. */
export function announce(words) {
  const region = byId('announcements');
  region.textContent = '';
  setTimeout(() => { region.textContent = words; }, 50);
}

/** Formats a number with at most four significant digits. */
export function number(value) {
  if (typeof value !== 'number' || !Number.isFinite(value)) return String(value);
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

/** Formats a measured number with two significant digits, or three from 10 on: a second is never quite one. */
export function measured(value) {
  return number(Number(value.toPrecision(Math.abs(value) < 9.95 ? 2 : 3)));
}

/** Formats a share from 0 to 1. */
export function percent(share) {
  const value = share * 100;
  if (value > 0 && value < 0.1) return '< 0.1 %';
  if (value < 100 && value > 99.9) return '> 99.9 %';
  return `${value.toFixed(1)} %`;
}

export function milliseconds(value) {
  if (value < 1) return `${Math.max(1, Math.round(value * 1000))} µs`;
  return value < 10 ? `${value.toFixed(1)} ms` : value < 10000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** Formats a time of RFC 3339 as a `time` element in the reader's zone. */
export function time(text) {
  return h('time', { dateTime: text, title: text }, clock.format(new Date(text)));
}

/** Writes JSON with lists of plain values on one line, as people read tensors. */
export function pretty(value, indent = '') {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const isList = Array.isArray(value);
  const parts = isList ? value.map((one) => [one, '']) : Object.entries(value).map(([name, one]) => [one, `${JSON.stringify(name)}: `]);
  const isPlain = isList && value.every((one) => one === null || typeof one !== 'object');
  const inner = parts.map(([one, name]) => name + pretty(one, `${indent}  `));
  const [open, close] = isList ? '[]' : '{}';
  if (isPlain || inner.length === 0) return open + inner.join(', ') + close;
  return `${open}\n${indent}  ${inner.join(`,\n${indent}  `)}\n${indent}${close}`;
}

/** A button that copies a text; without a clipboard it selects the element that shows it. */
export function copyButton(text, shown) {
  const button = h('button', { type: 'button', className: 'quiet' }, 'Copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = 'Copied';
      announce('Copied');
    } catch {
      getSelection().selectAllChildren(shown);
      button.textContent = 'Selected';
      announce('Selected: copy it with the keyboard');
    }
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
  return button;
}
