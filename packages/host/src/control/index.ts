/** The door of host's control side: settings, log, metrics and the HTTP API. */
export * from './daemon-view.js';
export { startHttpServers, type HttpOptions, type HttpServers } from './http-server.js';
