// The form of a prediction, made from the contract, and its JSON.

import { byId, h, number, pretty } from './dom.js';

const WHOLE = /^U?INT/;
const SLIDER_STEPS = 200;
/** A model with more features is typed as JSON. */
const MAX_FIELDS = 200;
const MAX_ZEROS = 256;
/** What a field shows that may be left empty. */
const MAY_BE_EMPTY = 'empty: missing';

/** Returns a round step with which a slider has about 200 positions. */
function stepOf(minimum, maximum) {
  const rough = (maximum - minimum) / SLIDER_STEPS;
  if (!(rough > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough * 0.999) * power;
  return Number(step.toPrecision(1));
}

function rounded(value, step) {
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  return Number(value.toFixed(Math.min(digits, 12)));
}

let count = 0;

/** Creates the field of a feature: an element with `value()` and `fill(value)`. */
function field(feature) {
  count += 1;
  const id = `field-${count}`;
  const allowsMissing = Boolean(feature.isNullable);
  const input = inputOf(feature, id);
  if (allowsMissing && 'placeholder' in input.main) input.main.placeholder = MAY_BE_EMPTY;
  const missing = allowsMissing && h('input', { type: 'checkbox', id: `${id}-missing` });
  const fault = h('p', { className: 'fault', id: `${id}-fault` });
  const stands = feature.missing === 'nan' ? '' : ` (${JSON.stringify(feature.missing?.default ?? feature.missing)} in its place)`;
  const hints = [
    feature.unit,
    feature.minimum !== undefined && feature.maximum !== undefined && `${number(feature.minimum)} to ${number(feature.maximum)}`,
  ].filter(Boolean).join(', ');
  const element = h('div', { className: 'field' },
    h('label', { for: id }, feature.name, hints && h('span', { className: 'hint' }, ` ${hints}`)),
    input.element,
    missing && h('label', { className: 'missing' }, missing, ` missing${stands}`),
    fault);
  const follow = () => { input.disable(Boolean(missing && missing.checked)); };
  if (missing) missing.addEventListener('change', follow);
  input.main.setAttribute('aria-describedby', fault.id);
  return {
    element,
    name: feature.name,
    value() {
      if (missing && missing.checked) return null;
      const value = input.value();
      return allowsMissing && (value === undefined || value === '') ? null : value;
    },
    fill(value) {
      if (missing) missing.checked = value === null || value === 'NaN';
      if (value !== null && value !== undefined && value !== 'NaN') input.fill(value);
      follow();
    },
    complain(words) {
      fault.textContent = words;
      input.main.setAttribute('aria-invalid', String(Boolean(words)));
    },
    focus: () => input.main.focus(),
  };
}

function inputOf(feature, id) {
  if (feature.categories?.length > 0) return choiceInput(feature, id);
  if (feature.datatype === 'BYTES') return textInput(id);
  if (feature.datatype === 'BOOL') return choiceInput({ ...feature, categories: [true, false], isClosed: true }, id);
  return numberInput(feature, id);
}

function textInput(id) {
  const main = h('input', { id, type: 'text', spellcheck: 'false', autocapitalize: 'none', autocomplete: 'off' });
  return { element: main, main, value: () => main.value, fill: (value) => { main.value = value; }, disable: (is) => { main.disabled = is; } };
}

function choiceInput({ categories, isClosed, datatype }, id) {
  const main = h('select', { id }, categories.map((value, index) => h('option', { value: String(index) }, String(value))));
  const other = h('input', { type: 'text', 'aria-label': 'Another value', autocomplete: 'off' });
  if (!isClosed) main.append(h('option', { value: 'other' }, 'another value …'));
  const follow = () => { other.hidden = main.value !== 'other'; };
  main.addEventListener('change', follow);
  follow();
  return {
    element: h('div', { className: 'pair' }, main, other),
    main,
    value: () => (main.value === 'other' ? (datatype === 'BYTES' ? other.value : other.value === '' ? undefined : Number(other.value)) : categories[Number(main.value)]),
    fill(value) {
      const index = categories.indexOf(value);
      main.value = index >= 0 ? String(index) : isClosed ? '0' : 'other';
      if (index < 0) other.value = value;
      follow();
    },
    disable(is) { main.disabled = is; other.disabled = is; },
  };
}

function numberInput({ minimum, maximum, datatype, name }, id) {
  const isWhole = WHOLE.test(datatype ?? '');
  const main = h('input', { id, type: 'number', step: isWhole ? '1' : 'any', inputMode: 'decimal', required: true, autocomplete: 'off' });
  const value = () => (main.value === '' ? undefined : Number(main.value));
  if (minimum === undefined || maximum === undefined || maximum - minimum > 1e9) {
    return { element: main, main, value, fill: (to) => { main.value = to; }, disable: (is) => { main.disabled = is; } };
  }
  const step = isWhole ? Math.max(1, Math.round((maximum - minimum) / SLIDER_STEPS)) : stepOf(minimum, maximum);
  const middle = rounded((minimum + maximum) / 2, step);
  const slider = h('input', { type: 'range', min: minimum, max: maximum, step, 'aria-label': `${name}, slider` });
  // The slider is set after its limits, which would otherwise cut its value.
  slider.value = middle;
  main.value = middle;
  slider.addEventListener('input', () => { main.value = rounded(Number(slider.value), step); });
  main.addEventListener('input', () => { if (main.value !== '') slider.value = main.value; });
  return {
    element: h('div', { className: 'pair' }, slider, main),
    main,
    value,
    fill(to) { main.value = to; slider.value = to; },
    disable(is) { main.disabled = is; slider.disabled = is; },
  };
}

/** Returns the elements of a tensor in a golden case, in order: nested lists, or an object with `data`. */
const flat = (tensor) => (Array.isArray(tensor) ? tensor : [tensor?.data ?? tensor]).flat(Infinity);

/** Returns the features of rows, each with `isNullable`. Columns without names are numbered. */
function featuresOf(version) {
  const nullable = new Set(version.nullable ?? []);
  return columnsOf(version).map((column, index) => ({ ...column, isNullable: nullable.has(index) }));
}

function columnsOf(version) {
  if (!version.takes_rows || version.features?.length > 0) return version.features ?? [];
  const [{ shape, datatype }, ...others] = version.inputs;
  const columns = others.length === 0 && shape?.length === 2 ? Number(shape[1]) : 0;
  return columns > 0 ? Array.from({ length: columns }, (_, index) => ({ name: `column ${index}`, datatype, missing: 'nan' })) : [];
}

/** Returns the first row of a golden case as values by feature. `null` if it cannot be one. */
function rowOf(example, version) {
  const features = featuresOf(version);
  const inputs = Object.values(example.inputs);
  if (inputs.length === 1 && version.inputs.length === 1) {
    const row = flat(inputs[0]).slice(0, features.length);
    return row.length === features.length ? row : null;
  }
  const row = features.map((feature) => feature.name in example.inputs && flat(example.inputs[feature.name])[0]);
  return row.includes(false) || row.includes(undefined) ? null : row;
}

/** Returns the class or value that a golden case expects, in words. */
function expectedOf(example, version) {
  for (const tensor of Object.values(example.outputs)) {
    const [value] = flat(tensor);
    if (Number.isInteger(value) && version.classes?.[value]) return version.classes[value];
    if (typeof value === 'string') return value;
  }
  return '';
}

/** Returns a body of zeros that fits the inputs, as a start. */
function startOf(version) {
  const zero = (datatype) => (datatype === 'BYTES' ? '' : datatype === 'BOOL' ? false : 0);
  const nested = (shape, value) => (shape.length === 0 ? value : Array.from({ length: shape[0] }, () => nested(shape.slice(1), value)));
  const inputs = {};
  for (const input of version.inputs) {
    if (input.optional || input.kind !== 'tensor') continue;
    const shape = (input.shape ?? []).map((size) => (/^\d+$/.test(size) ? Number(size) : 1));
    const size = shape.reduce((product, one) => product * one, 1);
    inputs[input.name] = size <= MAX_ZEROS ? nested(shape, zero(input.datatype)) : { shape, data: [] };
  }
  return { inputs };
}

/** Returns the parts of a version that decide the form. */
export const contractOf = ({ features, nullable, inputs, takes_rows: takesRows, examples, classes }) =>
  JSON.stringify([features, nullable, inputs, takesRows, examples, classes]);

/** Creates the form of a version. `predict(body)` is called with the text of a body. */
export function predictionForm(version, predict) {
  const features = featuresOf(version);
  const hasFields = version.takes_rows && features.length > 0 && features.length <= MAX_FIELDS;
  const fields = hasFields ? features.map(field) : [];
  const text = h('textarea', { id: 'body', rows: 8, spellcheck: 'false', autocapitalize: 'none' });
  const fault = h('p', { className: 'fault', id: 'body-fault' });
  text.setAttribute('aria-describedby', 'body-fault');
  const asFields = h('div', { className: 'fields' }, fields.map((one) => one.element));
  const asText = h('div', {}, h('label', { for: 'body' }, 'Body as JSON'), text, fault);
  const ways = hasFields && h('fieldset', { className: 'choice' }, h('legend', {}, 'Values'),
    ['fields', 'JSON'].map((way) => h('label', {},
      h('input', { type: 'radio', name: 'way', value: way, checked: way === 'fields', onchange: () => choose(way) }), ` ${way}`)));
  const button = h('button', { type: 'submit', className: 'main' }, 'Predict');
  const element = h('form', { className: 'prediction', noValidate: true, onsubmit: submit },
    examplesOf(), ways || null, asFields, asText, h('div', { className: 'buttons' }, button));

  const rowBody = () => JSON.stringify({ features: fields.map((one) => one.value()) });
  let isText = !hasFields;
  text.value = hasFields ? '' : pretty(startOf(version));
  show();
  const first = version.examples?.[0];
  if (first) fill(first);

  function show() {
    asFields.hidden = isText;
    asText.hidden = !isText;
  }

  function choose(way) {
    isText = way === 'JSON';
    if (isText) text.value = rowBody();
    else fillFromText();
    show();
  }

  function fillFromText() {
    try {
      const { features: row } = JSON.parse(text.value);
      fields.forEach((one, index) => one.fill(Array.isArray(row) ? row[index] : row[one.name]));
    } catch {
      // The fields keep their values if the text is of another form.
    }
  }

  function fill(example) {
    const row = hasFields ? rowOf(example, version) : null;
    if (row) {
      fields.forEach((one, index) => one.fill(row[index]));
      if (isText) text.value = rowBody();
      return;
    }
    text.value = pretty({ inputs: example.inputs });
    if (hasFields) element.elements.way.value = 'JSON';
    isText = true;
    show();
  }

  function examplesOf() {
    const examples = version.examples ?? [];
    if (examples.length === 0) return null;
    return h('div', { className: 'examples', role: 'group', 'aria-label': 'Golden cases of the contract' },
      h('span', { className: 'hint' }, 'Golden cases:'),
      examples.map((example, index) => {
        const expected = expectedOf(example, version);
        return h('button', { type: 'button', className: 'quiet', onclick: () => { fill(example); send(); } },
          expected ? `${index + 1}: ${expected}` : `case ${index + 1}`);
      }));
  }

  function submit(event) {
    event.preventDefault();
    send();
  }

  function send() {
    fields.forEach((one) => one.complain(''));
    fault.textContent = '';
    if (!isText) {
      const empty = fields.find((one) => one.value() === undefined);
      if (empty) {
        empty.complain('Type a number.');
        empty.focus();
        return;
      }
      predict(rowBody());
      return;
    }
    try {
      JSON.parse(text.value);
    } catch (error) {
      fault.textContent = `This is not JSON: ${error.message}`;
      text.focus();
      return;
    }
    predict(text.value);
  }

  return {
    element,
    /** Shows the faults that the gateway found, at their fields. */
    complain(errors) {
      for (const { pointer, message } of errors) {
        const [, part, index] = (pointer ?? '').split('/');
        if (part === 'features' && fields[Number(index)] && !isText) fields[Number(index)].complain(message);
      }
    },
    /** Returns the name of the feature at a pointer into the body. `null` if it has none. */
    nameOf: (pointer) => features[Number(/^\/features\/(\d+)$/.exec(pointer)?.[1] ?? -1)]?.name ?? null,
    busy(is) { button.disabled = is; },
    /** Takes over what was typed into another form, as far as the fields have the same names. */
    takeOver(other) {
      const { text: typed, isText: wasText, values } = other.typed();
      fields.forEach((one) => { if (values.has(one.name)) one.fill(values.get(one.name)); });
      if (wasText && hasFields) {
        element.elements.way.value = 'JSON';
        isText = true;
        show();
      }
      if (wasText) text.value = typed;
    },
    typed: () => ({ text: text.value, isText, values: new Map(fields.map((one) => [one.name, one.value() ?? ''])) }),
    focus: () => (byId('body')?.offsetParent ? text.focus() : fields[0]?.focus()),
  };
}
