import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { moduleUrl } from '../../../core/own-files.ts';
import { BUILTIN_PAYLOADS, findBuiltinPayload } from '../../../payloads/builtin/builtin-payloads.ts';
import type { PayloadDefinition } from '../../../payloads/payload.ts';

describe.each(BUILTIN_PAYLOADS.map((payload) => [payload.name, payload] as const))(
  'built-in payload %s',
  (name, payload) => {
    it('has a module that exports a payload of its name', async () => {
      expect(existsSync(moduleUrl(payload.path))).toBe(true);
      const { default: definition } = (await import(moduleUrl(payload.path).href)) as { default: PayloadDefinition };
      expect(definition.name).toBe(name);
      expect(definition.version).toMatch(/^\d+$/);
      expect(typeof definition.options).toBe('function');
    });

    it('is found by its name and summed up in one line', () => {
      expect(findBuiltinPayload(name)).toBe(payload);
      expect(payload.summary).toMatch(/^.{10,80}$/);
    });
  },
);

it('no payload is found by another name', () => {
  expect(findBuiltinPayload('digset')).toBeUndefined();
});
