// The list of models, and the page of one.

import { Failure, call, hasManagement, modelPath, showFailure } from './api.js';
import { actionButtons } from './actions.js';
import { modelCharts } from './charts.js';
import { announce, bytes, h } from './dom.js';
import { contractOf, predictionForm } from './form.js';
import { showHistory } from './history.js';
import { curl, showResult, wordsOf } from './result.js';
import { may } from './session.js';

const STATES = { READY: 'good', LOADING: 'warn', UNLOADING: 'warn', UNAVAILABLE: 'bad' };

const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

const chip = (state) => h('span', { className: `chip ${STATES[state] ?? ''}` }, state);

/** Returns the version that answers by default, else the last one. */
const mainVersion = (model) => model.versions.find((version) => version.default) ?? model.versions.at(-1);

/** Shows the list. */
export function showModels(place, models, selected) {
  const items = models.map((model) => {
    const version = mainVersion(model);
    const troubles = model.versions.some((one) => one.refusal) || (model.problems ?? []).length > 0;
    const link = h('a', { href: `#/models/${encodeURIComponent(model.name)}` },
      h('span', { className: 'name' }, model.name),
      h('span', { className: 'row' },
        version ? chip(version.state) : chip('UNAVAILABLE'),
        version && h('span', { className: 'hint' }, `version ${version.version}`),
        troubles && h('span', { className: 'chip warn' }, 'see problems')));
    if (model.name === selected) link.setAttribute('aria-current', 'page');
    return h('li', {}, link);
  });
  place.replaceChildren(...items);
  // A long list has its own bar, and the page must not move for it.
  const current = place.querySelector('[aria-current]');
  if (current) place.scrollTop = Math.max(0, current.offsetTop - place.offsetTop - place.clientHeight / 2);
}

/** The page of one model. It is kept while the model changes, so that nothing typed is lost. */
export class ModelPage {
  #name;
  #on;
  #form = null;
  #contract = null;
  #version = null;
  #target = '';
  #charts = modelCharts();
  #parts;

  constructor(place, name, on) {
    this.#name = name;
    this.#on = on;
    const part = (tag = 'div') => h(tag);
    this.#parts = {
      head: part(), notice: part(), actions: part(), problems: part(), choice: part(), form: part(),
      result: h('div', { className: 'result' }), history: part(), versions: part(), facts: part(), cards: {},
    };
    const { head, notice, actions, problems, choice, form, result, history, versions, facts, cards } = this.#parts;
    const card = (title, ...children) => h('section', { className: 'card', 'aria-label': title }, h('h2', {}, title), ...children);
    place.replaceChildren(
      h('section', { className: 'card head', 'aria-label': 'Model' }, head, problems, versions, actions, notice),
      cards.predict = card('Predict', choice, h('div', { className: 'split' }, form, result)),
      card('Live', h('p', { className: 'hint' }, 'All callers, over the last two minutes.'), h('div', { className: 'charts' }, this.#charts.figures)),
      card('Deployments', history),
      cards.details = card('Details', facts));
    result.append(h('p', { className: 'hint' }, 'The answer appears here.'));
    this.showActions();
  }

  get name() {
    return this.#name;
  }

  /** Shows the actions that the token permits. */
  showActions() {
    const { actions, notice } = this.#parts;
    const words = hasManagement
      ? 'The token lacks the scope manage, so the buttons to load, unload and roll back are not here.'
      : 'The admin listener alone loads, unloads and rolls back, so there are no buttons for that here.';
    actions.replaceChildren(hasManagement && may('manage', this.#name)
      ? actionButtons(this.#name, notice, this.#on.changed) : h('p', { className: 'hint' }, words));
  }

  showActivity(seconds) {
    this.#charts.show(seconds);
  }

  /** Reads the model and its history again. */
  async refresh() {
    const [model, history] = await Promise.all([call(modelPath(this.#name)), call(modelPath(this.#name, '/history'))]);
    this.#show(model.body);
    showHistory(this.#parts.history, history.body.history);
  }

  #show(model) {
    const { head, problems, versions, choice, facts } = this.#parts;
    const version = mainVersion(model);
    head.replaceChildren(h('div', { className: 'row' }, h('h1', {}, model.name), version && chip(version.state)));
    problems.replaceChildren(...problemsOf(model));
    versions.replaceChildren(versionTable(model.versions));
    const ready = model.versions.filter((one) => one.state === 'READY');
    choice.replaceChildren(...this.#choiceOf(ready));
    this.#useVersion(ready.find((one) => one.version === this.#target) ?? version);
    facts.replaceChildren(...(this.#version ? factsOf(this.#version) : []));
  }

  #choiceOf(ready) {
    if (!ready.some((one) => one.version === this.#target)) this.#target = '';
    if (ready.length < 2) return [];
    const select = h('select', { id: 'version' },
      h('option', { value: '' }, 'default'),
      ready.map((one) => h('option', { value: one.version }, [one.version, ...(one.labels ?? [])].join(', '))));
    select.value = this.#target;
    select.addEventListener('change', () => {
      this.#target = select.value;
      this.#on.changed();
    });
    return [h('label', { for: 'version' }, 'Version '), select];
  }

  #useVersion(version) {
    const { form, cards } = this.#parts;
    this.#version = version?.inputs ? version : null;
    // What was typed stays for the next version.
    cards.predict.hidden = !this.#version && !this.#form;
    cards.details.hidden = !this.#version;
    if (!this.#version) return;
    const contract = contractOf(version);
    if (this.#contract === contract) return;
    const before = this.#form;
    this.#contract = contract;
    this.#form = predictionForm(version, (body) => this.#predict(body));
    if (before) this.#form.takeOver(before);
    form.replaceChildren(this.#form.element);
  }

  async #predict(body) {
    const { result } = this.#parts;
    const path = this.#target
      ? modelPath(this.#name, `/versions/${encodeURIComponent(this.#target)}/predict`) : modelPath(this.#name, '/predict');
    const form = this.#form;
    form.busy(true);
    result.setAttribute('aria-busy', 'true');
    const begin = performance.now();
    try {
      const { body: response, headers } = await call(path, { method: 'POST', json: body });
      showResult(result, { path, body, response, headers, took: performance.now() - begin });
      announce(wordsOf(response));
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      showFailure(result, failure, failure.retryAfter > 0 || failure.code === 'lost' ? () => this.#predict(body) : null, form.nameOf);
      form.complain(failure.errors);
      result.append(curl(path, body));
      if (failure.status === 404) this.#on.changed();
    } finally {
      form.busy(false);
      result.removeAttribute('aria-busy');
    }
  }
}

function problemsOf(model) {
  const refusals = model.versions.filter((version) => version.refusal).map((version) => h('div', { className: 'notice bad' },
    h('p', {}, h('strong', {}, `The file of version ${version.version} is not in service: `), h('code', {}, version.refusal.reason)),
    h('p', {}, version.refusal.detail)));
  const problems = (model.problems ?? []).map((problem) => h('p', { className: 'notice bad' }, problem));
  return [...refusals, ...problems];
}

function versionTable(versions) {
  const head = ['Version', 'State', 'Digest', 'Labels', ''];
  return h('div', { className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': 'Versions' }, h('table', {},
    h('thead', {}, h('tr', {}, head.map((name) => (name ? h('th', { scope: 'col' }, name) : h('td', {}))))),
    h('tbody', {}, versions.map((version) => h('tr', {},
      h('td', {}, version.version, version.default ? h('span', { className: 'hint' }, ' default') : ''),
      h('td', {}, chip(version.state)),
      h('td', {}, version.digest ? h('code', {}, version.digest) : '–'),
      h('td', {}, (version.labels ?? []).join(', ') || '–'),
      h('td', { className: 'hint' }, version.waiting ?? ''))))));
}

function kindWords(value) {
  const words = value.kind === 'tensor' ? `${value.datatype} [${(value.shape ?? []).join(', ')}]`
    : value.kind === 'map' ? `map of ${value.key} to ${value.value}` : `sequence of ${value.items ? kindWords(value.items) : 'values'}`;
  return value.optional ? `${words}, optional` : words;
}

function list(name, entries) {
  return h('div', {}, h('dt', {}, name), h('dd', {}, entries));
}

function factsOf(version) {
  const values = (specs) => h('ul', {}, specs.map((spec) => h('li', {}, h('code', {}, spec.name), ` ${kindWords(spec)}`)));
  const { scheduler, costs } = version;
  const limits = ({ minimum, maximum }) => (minimum === undefined && maximum === undefined ? '' : `${minimum ?? '…'} to ${maximum ?? '…'}`);
  const features = (version.features ?? []).map((feature) => h('li', {}, h('code', {}, feature.name), ' ',
    [feature.unit, limits(feature), feature.missing === 'refuse' ? '' : `missing: ${JSON.stringify(feature.missing)}`].filter(Boolean).join(', ')));
  return [h('dl', { className: 'facts wide' },
    list('Inputs', values(version.inputs ?? [])),
    list('Outputs', values(version.outputs ?? [])),
    features.length > 0 && list('Features', h('ul', {}, features)),
    (version.classes ?? []).length > 0 && list('Classes', version.classes.slice(0, 50).join(', ')),
    version.takes_rows === false && version.rows_reason && list('Rows', version.rows_reason),
    scheduler && list('Scheduling', [
      h('p', {}, `${scheduler.mode === 'request_thread' ? 'on the thread of the request' : 'on threads of its own'}: ${scheduler.reason}`),
      h('p', {}, `${plural(scheduler.instances, 'instance')} of ${plural(scheduler.threads, 'thread')}, at most ${scheduler.max_batch_rows} rows in a run, `
        + `${scheduler.max_delay_ms} ms of delay, ${scheduler.queue_capacity} requests may wait`),
      h('p', {}, `${scheduler.batching ? 'Batches' : 'No batches'}: ${scheduler.batching_reason}`),
    ]),
    costs && list('Cost', `${costs.run_us} µs for a run${costs.run_32_rows_us === undefined ? '' : `, ${costs.run_32_rows_us} µs for 32 rows`}, ${bytes(costs.session_bytes)} for a session`))];
}
