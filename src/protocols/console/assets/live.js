// The stream of events. EventSource cannot send a token, so the stream is read with fetch.

import { Failure, failureOf, send } from './api.js';

/** The gateway sends something each second; a longer silence is a lost connection. */
const LONGEST_SILENCE_MS = 6000;
const LONGEST_DELAY_MS = 15000;
/** A page that nobody sees needs no stream. */
const HIDDEN_MS = 30000;

export class Live {
  #abort = null;
  #timer = 0;
  #hidden = 0;
  #delay = 1000;
  #wanted = false;
  #on;

  /** `on` has `open`, `sample`, `changed`, `expired`, `refusedToken` and `state(name, words)`. */
  constructor(on) {
    this.#on = on;
    document.addEventListener('visibilitychange', () => {
      clearTimeout(this.#hidden);
      if (document.hidden) this.#hidden = setTimeout(() => this.#pause(), HIDDEN_MS);
      else if (this.#wanted && !this.#abort) this.#connect();
    });
  }

  start() {
    this.#wanted = true;
    this.#delay = 1000;
    this.#connect();
  }

  stop() {
    this.#wanted = false;
    this.#close();
    this.#on.state('off', 'Not live');
  }

  #pause() {
    if (!this.#wanted) return;
    this.#close();
    this.#on.state('off', 'Paused while hidden');
  }

  #close() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
  }

  async #connect() {
    this.#close();
    const abort = new AbortController();
    this.#abort = abort;
    this.#on.state('wait', 'Connecting');
    let wait = 0;
    let words = 'Connection lost';
    try {
      const response = await send('events', { signal: abort.signal });
      if (!response.ok) throw await failureOf(response);
      wait = await this.#read(response, abort);
    } catch (error) {
      if (this.#abort !== abort) return;
      if (error instanceof Failure && error.status) {
        words = error.status === 429 || error.status === 503 ? 'Too many windows watch' : 'Not live';
        if (error.code !== 'too_many_streams') words = error.status === 503 ? 'The gateway is stopping' : 'Not live';
        if (error.status === 401) return this.#on.refusedToken();
        if (error.status === 403) return this.#on.state('off', 'Not live');
        wait = error.retryAfter * 1000;
      }
    }
    if (this.#abort !== abort || !this.#wanted) return;
    this.#abort = null;
    const delay = Math.max(wait, this.#delay);
    this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY_MS);
    this.#on.state('lost', `${words}: trying again in ${Math.ceil(delay / 1000)} s`);
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  async #read(response, abort) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    let silence = 0;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => reader.cancel().catch(() => {}), LONGEST_SILENCE_MS);
    };
    heard();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done || this.#abort !== abort) return 0;
        heard();
        text += value;
        const events = text.split('\n\n');
        text = events.pop();
        for (const event of events) {
          if (this.#handle(event)) return 0;
        }
      }
    } finally {
      clearTimeout(silence);
      reader.cancel().catch(() => {});
    }
  }

  /** Handles an event. Returns true if it is the last. */
  #handle(text) {
    const field = (name) => text.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    const data = JSON.parse(field('data') ?? '{}');
    switch (field('event')) {
      case 'open':
        this.#delay = 1000;
        this.#on.state('live', 'Live');
        this.#on.open();
        return false;
      case 'sample': this.#on.sample(data); return false;
      case 'changed': this.#on.changed(data.models); return false;
      case 'end':
        if (data.reason === 'token_expired') this.#on.expired();
        return true;
      default: return false;
    }
  }
}
