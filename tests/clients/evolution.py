"""tests/clients/evolution.py - does what Evolution does, by its mail library (Camel), and says what it got

    /usr/bin/python3 tests/clients/evolution.py DIRECTORY PORT none|starttls|tls first|again

DIRECTORY keeps its cache between two runs. What it got goes to stdout as lines of JSON; in the first
run, "waiting" is one of them: then the test changes the mailbox, and it says what it is told.
"""

import json
import os
import sys

import gi

gi.require_version("Camel", "1.2")
from gi.repository import Camel, GLib  # noqa: E402

DIRECTORY, PORT, SECURITY, RUN = sys.argv[1:]
METHODS = {"none": Camel.NetworkSecurityMethod.NONE,
           "starttls": Camel.NetworkSecurityMethod.STARTTLS_ON_STANDARD_PORT,
           "tls": Camel.NetworkSecurityMethod.SSL_ON_ALTERNATE_PORT}


class Session(Camel.Session):
    def do_authenticate_sync(self, service, mechanism, cancellable):
        service.set_password("bar")
        return service.authenticate_sync(mechanism, cancellable) == Camel.AuthenticationResult.ACCEPTED

    def do_trust_prompt(self, service, certificate, errors):
        return Camel.CertTrust.TEMPORARY


def say(name, value):
    print(json.dumps([name, value]), flush=True)


def flags(folder, uid):
    found = folder.get_message_info(uid).get_flags()
    return [name for name in ("ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN")
            if found & getattr(Camel.MessageFlags, name)]


def uids(folder):
    """{subject: UID}; get_uids() gives Python what the library soon frees."""
    found = ((folder.get_message_info(str(uid)), str(uid)) for uid in range(1, 20))
    return {info.get_subject(): uid for info, uid in found if info}


def state(folder):
    """{subject: flags} of all messages."""
    return {subject: flags(folder, uid) for subject, uid in uids(folder).items()}


def of(folder, subject):
    return uids(folder)[subject]


def mark(folder, subject, name):
    flag = getattr(Camel.MessageFlags, name)
    folder.get_message_info(of(folder, subject)).set_flags(flag, flag)


Camel.init(DIRECTORY, False)
Camel.provider_init()
session = Session(user_data_dir=f"{DIRECTORY}/data", user_cache_dir=f"{DIRECTORY}/cache")
session.set_online(True)
store = session.add_service("rims", "imapx", Camel.ProviderType.STORE)
settings = store.ref_settings()
settings.set_property("host", "localhost")
settings.set_property("port", int(PORT))
settings.set_property("user", "foo")
settings.set_property("security-method", METHODS[SECURITY])
settings.set_property("use-qresync", True)
settings.set_property("use-idle", True)
store.set_online_sync(True, None)
store.connect_sync(None)

folder = lambda name: store.get_folder_sync(name, 0, None)
say("folders", [store.get_folder_info_sync(name, 0, None).full_name
                for name in ("INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash")])
say("roles", store.initial_setup_sync(None)[1])  # what a new account is told to use
inbox = folder("INBOX")
inbox.refresh_info_sync(None)
say("inbox", state(inbox))
if RUN == "first":
    body = inbox.get_message_sync(of(inbox, "message 6"), None)
    stream = Camel.StreamMem.new()
    body.decode_to_stream_sync(stream, None)
    say("body", bytes(stream.get_byte_array()).decode())
    mark(inbox, "message 6", "SEEN")
    mark(inbox, "message 2", "FLAGGED")
    inbox.synchronize_sync(False, None)
    archive = folder("Archive")
    say("moved", inbox.transfer_messages_to_sync([of(inbox, "message 3")], archive, True, None)[0])
    mark(inbox, "message 4", "DELETED")
    inbox.synchronize_sync(True, None)
    draft = Camel.MimeMessage.new()
    draft.set_subject("a draft")
    draft.set_content(b"Some words.", "text/plain")
    drafts = folder("Drafts")
    info = Camel.MessageInfo.new(None)
    info.set_flags(Camel.MessageFlags.DRAFT, Camel.MessageFlags.DRAFT)
    say("drafted", drafts.append_message_sync(draft, info, None)[0])
    loop = GLib.MainLoop()
    inbox.connect("changed", lambda *_: loop.quit())
    GLib.timeout_add_seconds(30, lambda: os._exit(3))
    say("waiting", None)
    while "message 7" in (now := state(inbox)) or "FLAGGED" not in now["message 5"]:
        loop.run()
    say("changed", now)
    while "message 8" not in (now := state(inbox)):
        loop.run()
    say("news", now)
    store.disconnect_sync(True, None)
else:
    say("found", list(inbox.search_by_expression('(match-all (body-contains "body of message 5"))', None)))
    os._exit(0)  # the library frees the result once more
