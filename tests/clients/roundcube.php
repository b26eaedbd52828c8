<?php
// tests/clients/roundcube.php - calls Roundcube's IMAP library, as the webmail does, and says what it got
//
//   php tests/clients/roundcube.php DIRECTORY PORT none|tls|ssl CERTIFICATE
//
// DIRECTORY holds rcube_imap_generic.php. The mailbox holds seven messages. What the calls gave goes
// to stdout as one object of JSON, and what was sent and received to stderr.

[, $directory, $port, $security, $certificate] = $argv;
error_reporting(E_ALL & ~E_DEPRECATED & ~E_NOTICE);
ini_set('display_errors', 'stderr');
spl_autoload_register(function ($class) use ($directory) {
    if (is_file("$directory/$class.php")) {
        require "$directory/$class.php";
    }
});
require "$directory/bootstrap.php";

$told = [];
$log_in = function () use ($security, $port, $certificate) {
    $imap = new rcube_imap_generic();
    $imap->setDebug(true, fn ($_, $line) => fwrite(STDERR, "$line\n"));
    $done = $imap->connect('localhost', 'foo', 'bar', [
        'port' => (int) $port,
        'ssl_mode' => $security == 'none' ? null : $security,
        'socket_options' => ['ssl' => ['cafile' => $certificate]],
        'auth_type' => 'CHECK',
        'timeout' => 30,
        'ident' => ['name' => 'Roundcube', 'version' => RCUBE_VERSION],
    ]);
    if (!$done) {
        fwrite(STDERR, $imap->error);
        exit(1);
    }
    return $imap;
};
$imap = $log_in();
$told['namespace'] = $imap->getNamespace();
$told['subscribed'] = $imap->listMailboxes('', '*', null, ['SUBSCRIBED']);
$told['roles'] = $imap->listMailboxes('', '*', ['SUBSCRIBED'], ['SPECIAL-USE']);
$told['options'] = $imap->data['LIST'];
$told['enabled'] = $imap->enable($imap->getCapability('QRESYNC') ? 'QRESYNC' : 'CONDSTORE');
$told['created'] = $imap->createFolder('lists') && $imap->subscribe('lists');
$told['a role once more'] = $imap->createFolder('Rechnungen', ['\\Archive']);
$told['select'] = $imap->select('INBOX');
$told['known'] = array_intersect_key($imap->data, array_flip(['EXISTS', 'UIDNEXT', 'READ-WRITE']));

$told['sort'] = $imap->sort('INBOX', 'SUBJECT', 'NOT UID 3', true, 'UTF-8')->get();
$told['reverse'] = $imap->index('INBOX', '1:*', 'DATE', true, true, true)->get();
$told['thread'] = $imap->thread('INBOX', 'REFS', 'ALL', true, 'UTF-8')->get_tree();
$unread = $imap->search('INBOX', 'UNSEEN', true, ['COUNT', 'MIN', 'MAX', 'ALL']);
$told['search'] = [$unread->count(), $unread->min(), $unread->max(), $unread->get_compressed()];
$word = rcube_imap_generic::escape('日本');
$told['text'] = $imap->search('INBOX', "CHARSET UTF-8 BODY $word", true)->get();
$told['headers'] = array_map(fn ($h) => [$h->uid, $h->subject, $h->size, $h->bodystructure[0]],
    array_values($imap->fetchHeaders('INBOX', '1:2', true, true, ['X-Priority'])));
$told['structure'] = $imap->getStructure('INBOX', 7, true)[1];
$told['part'] = base64_encode($imap->handlePartBody('INBOX', 7, true, '2', 'base64'));
$told['flag'] = $imap->flag('INBOX', '2', 'FLAGGED') && $imap->flag('INBOX', '2', 'SEEN');
$told['unflag'] = $imap->unflag('INBOX', '2', 'SEEN');
$told['copied'] = $imap->copy('2:3', 'INBOX', 'lists');
$told['copyuid'] = $imap->data['COPYUID'] ?? null;
$told['moved'] = $imap->move('4', 'INBOX', 'Archive');
$told['deleted'] = $imap->flag('INBOX', '5', 'DELETED') && $imap->expunge('INBOX', '5');
$draft = "Subject: draft\n\nWords: Äpfel.\n";
$told['appended'] = $imap->append('Drafts', $draft, ['DRAFT', 'SEEN'], '02-Nov-2026 10:11:12 +0100');
$binary = "Subject: bytes\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n" .
    "\0\1\2";
$told['binary'] = $imap->append('Drafts', $binary, [], null, true);
$told['status'] = $imap->status('Drafts', ['MESSAGES', 'UIDNEXT', 'SIZE']);
$told['unseen'] = $imap->countUnseen('INBOX');
$told['count'] = $imap->countMessages('INBOX');
$told['quota'] = $imap->getQuota('INBOX');
if ($imap->getCapability('METADATA')) {
    $told['metadata'] = [$imap->setMetadata('INBOX', ['/private/comment' => 'a "note"']),
        $imap->getMetadata('INBOX', '/private/comment', ['DEPTH' => 0])];
}
$told['renamed'] = $imap->renameFolder('lists', 'Listen') && $imap->deleteFolder('Listen');

// What the cache of the webmail does, with what it kept: the changes since.
$imap->select('INBOX');
$kept = [$imap->data['UIDVALIDITY'], $imap->data['HIGHESTMODSEQ'], '1:7'];
$imap->closeConnection();
$other = $log_in();
$other->flag('INBOX', '1', 'ANSWERED');
$other->flag('INBOX', '3', 'DELETED') && $other->expunge('INBOX', '3');
$other->closeConnection();
$imap = $log_in();
$imap->enable('QRESYNC');
$imap->select('INBOX', $kept);
$told['vanished'] = $imap->data['VANISHED'] ?? null;
$told['changed'] = array_values(array_map(fn ($m) => [$m['uid'], $m['flags']], $imap->data['QRESYNC'] ?? []));
$told['changed since'] = array_map(fn ($h) => [$h->uid, array_keys($h->flags)],
    array_values($imap->fetch('INBOX', '1:*', true, ['FLAGS'], $kept[1], true)));
$imap->closeConnection();
echo json_encode($told);
