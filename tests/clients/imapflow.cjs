// tests/clients/imapflow.cjs - does what a program does with ImapFlow, and says what it got
//
//   node tests/clients/imapflow.cjs DIRECTORY PORT none|starttls|tls CERTIFICATE
//
// DIRECTORY holds the module. The mailbox holds seven messages. What the calls gave goes to stdout, a
// line of JSON each, and what was sent and received to stderr. When it has said "waiting" it waits for news.

const fs = require('fs');
const [, , directory, port, security, certificate] = process.argv;
const { ImapFlow } = require(directory);

const plain = (_, value) =>
  value instanceof Set ? [...value] : value instanceof Map ? Object.fromEntries(value) : value;
const say = (name, value) => console.log(JSON.stringify([name, value], plain));

async function main() {
  const trace = ({ src, msg }) => console.error(src, msg);
  const client = new ImapFlow({
    host: 'localhost', port: Number(port), secure: security === 'tls', doSTARTTLS: security === 'starttls',
    auth: { user: 'foo', pass: 'bar' }, tls: { ca: fs.readFileSync(certificate) }, qresync: true,
    logger: { debug: trace, info() {}, warn: console.error, error: console.error },
  });
  const vanished = [];
  client.on('expunge', e => vanished.push(e.uid ?? e.seq));
  await client.connect();
  say('enabled', client.enabled);
  const boxes = await client.list({ statusQuery: { messages: true } });
  say('boxes', boxes.map(box => [box.path, box.specialUse, box.status.messages]));
  const lock = await client.getMailboxLock('INBOX');
  say('mailbox', [client.mailbox.exists, client.mailbox.uidNext]);
  const rows = [];
  const items = { uid: true, flags: true, envelope: true, bodyStructure: true, size: true, threadId: true };
  for await (const m of client.fetch('1:2', items))
    rows.push([m.uid, m.envelope.subject, m.bodyStructure.type, m.size, typeof m.emailId, typeof m.modseq]);
  say('fetched', rows);
  say('flagged', await client.messageFlagsAdd('2', ['\\Flagged', '$Important'], { uid: true }));
  say('unseen', await client.search({ seen: false, body: '日本' }, { uid: true }));
  say('moved', (await client.messageMove('3', 'Archive', { uid: true })).uidMap);
  say('copied', (await client.messageCopy('6', 'Archive', { uid: true })).uidMap);
  say('deleted', await client.messageDelete('4', { uid: true }));
  say('appended', (await client.append('Drafts', 'Subject: Entwurf\r\n\r\nÄpfel\r\n', ['\\Draft'])).uid);
  const { content } = await client.download('6', undefined, { uid: true });
  const parts = [];
  for await (const part of content) parts.push(part);
  say('downloaded', Buffer.concat(parts).toString());
  say('quota', await client.getQuota('INBOX') !== null);
  say('status', await client.status('Drafts', { messages: true, uidNext: true, unseen: true }));
  say('created', (await client.mailboxCreate(['Listen', 'Grüße'])).path);
  say('gone', (await client.mailboxDelete(['Listen', 'Grüße'])).path);

  // Others change the mailbox, and it is told.
  const news = new Promise(resolve => client.once('exists', e => resolve(e.count)));
  const idle = client.idle();
  say('waiting', null);
  say('news', await news);
  lock.release();
  await client.noop();
  await idle;
  say('vanished', vanished);
  await client.logout();
}

main().catch(error => { console.error(error); process.exit(1); });
