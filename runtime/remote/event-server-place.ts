/** Addresses of an event server's routes, shared by the server and its clients. */
import type { Guid } from '../../core/ids.ts';
import type { Place } from './place.ts';

export const EVENT_SERVER_ROUTES = {
  files: '/v1/files',
  file: (guid: Guid | ':guid') => `/v1/files/${guid}`,
  tokens: (guid: Guid | ':guid') => `/v1/files/${guid}/tokens`,
  tokensByNumber: '/v1/tokens',
  ranges: (guid: Guid | ':guid') => `/v1/files/${guid}/ranges`,
  events: (guid: Guid | ':guid') => `/v1/files/${guid}/events`,
  content: (guid: Guid | ':guid') => `/v1/files/${guid}/content`,
} as const;

type EventServerPlace = Extract<Place, { kind: 'event-server' }>;

export function eventServerUrl(
  place: EventServerPlace,
  route: 'file' | 'tokens' | 'events' | 'ranges' | 'content',
): URL {
  return new URL(EVENT_SERVER_ROUTES[route](place.guid).slice(1), place.server);
}
