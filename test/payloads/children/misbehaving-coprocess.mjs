// A co-process that does what the text of an event tells it.
import { truncateSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const send = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
let header = '';
let folder = '';
let seen = 0;

const ACTIONS = {
  echo: ({ text, ...facts }) => ({ OUT: [{ ...facts, text, header, seen, pid: process.pid }] }),
  pieces: () => ({ OUT: { text: '{"a":1}\n{"b":2}\n' } }),
  print: () => {
    process.stdout.write('hello\n');
    process.stderr.write('oops\n');
    send({ kind: 'log', level: 'warn', message: 'careful' });
    return { OUT: [] };
  },
  flood: () => {
    for (let line = 0; line < 5000; line += 1) process.stdout.write(`${'x'.repeat(1000)}\n`);
    return { OUT: [1] };
  },
  throw: () => {
    process.stderr.write('looking for the field map\n');
    throw new Error('no field map');
  },
  crash: () => process.kill(process.pid, 'SIGSEGV'),
  exit: () => process.exit(7),
  leave: () => process.exit(0),
  garbage: () => process.stdout.write('{"kind":"done"\n'),
  wrongId: () => send({ kind: 'done', id: 999_999, outputs: {} }),
  hugeFile: () => {
    const file = `${folder}/huge`;
    writeFileSync(file, '');
    truncateSync(file, 2 ** 30);
    return { OUT: { file } };
  },
  wrongStream: () => ({ NOPE: [1] }),
  hang: () => process.on('SIGTERM', () => undefined),
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const message = JSON.parse(line);
  if (message.kind === 'hello') {
    folder = message.folder;
    if (process.argv[2] !== 'mute') send({ kind: 'ready', protocol: process.argv[2] === 'old' ? 0 : 1 });
  } else if (message.kind === 'runHeader') {
    header = message.text;
  } else if (message.kind === 'event') {
    seen += 1;
    try {
      const outputs = ACTIONS[message.text ? message.text.trim() : 'echo'](message);
      if (typeof outputs === 'object') send({ kind: 'done', id: message.id, outputs });
    } catch (error) {
      send({ kind: 'failed', id: message.id, reason: error.message });
    }
  } else {
    process.exit(0);
  }
});
