#!/usr/bin/env python3
"""Makes the nasty corpus: messages of every kind that breaks mail software.

  corpus_gen.py DIR           writes DIR/<name>.eml for each; deterministic
  corpus_gen.py --pack FILE   writes all into one file: "name size", newline, bytes, newline
  import corpus_gen           corpus_gen.corpus() is an ordered dict: name -> bytes

Names tell the kind: addr- address lists, head- header syntax, ct- Content-Type, ext- other
Content- fields, r2231-, r2047-, cs- charsets, mp- multiparts and boundaries, rfc822- embedded
messages, eol- line ends and NUL, big- size, cut- truncation, real- as mail programs write them.
Source text here uses LF; messages get CRLF unless the name starts with eol-.
"""

import base64
import os
import quopri
import sys

_corpus = {}


def add(name, text, crlf=True):
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    assert name not in _corpus, name
    _corpus[name] = data


def numbered(prefix, items, make):
    for i, item in enumerate(items, 1):
        add("%s-%03d" % (prefix, i), make(item))


# ---------------------------------------------------------------- address lists

ADDRESSES = [
    "a@b", "Foo <a@b>", "\"Foo\" <a@b>", "\"Foo, \\\"Bar\\\"\" <a@b>", "a@b (Foo)", "<a@b> (Foo)",
    "(x) a@b (y)", "(c1) Foo (c2) Bar <a@(x)b>(tail)", "(a (nested) c) x@y (p\\)q)",
    "a@b,c@d", "a@b, c@d,\n e@f", ",,a@b,,c@d,", "undisclosed-recipients:;", "A group: a@b, C <c@d>;",
    "g:;, a@b", "g: a@b;, h: c@d;", "g: a@b, c@d", "g: a@b, h: c@d;, x@y;, n@x", "g:, a@b;, c@d", ":;",
    "\"quoted group\": a@b;", "Foo: Bar <a@b>", "foo bar@dom, next@x", "foo", "foo, bar",
    "\"a\".b@c, next@x", "a.\"b\".c@d, n@x", "a . b @ c . d, n@x", "<>, n@x", "Foo <>, n@x",
    "Foo <a@b, n@x", "Foo a@b>, n@x", "\"Foo <a@b>, n@x", "a@b c@d, n@x", "a@b; c@d, n@x",
    "a@[1.2.3.4], b@[ 1 . 2 ]", "a@[IPv6:::1]", "=?utf-8?q?J=2C_B?= <a@b>", "=?utf-8?q?(x)?= <a@c>",
    "=?utf-8?q?J,_B?= <a@b>", "Foo <@a,@b:c@d>", "<@e:f@g>, n@x", "<@h f@g>, n@x", "a b c", "a@", "@b, c@d",
    "Foo <@b>, c@d", "Foo <c>, x@y", "Foo <c@>, x@y", "Dr. Foo B. Bar <a@b>", ".x <c@d>, x@y",
    "\"a\n b\" <c@d>", "\"a\n  b\" <c@d>", "a@b\n ,\n c@d", "Foo <a@b> Bar, x@y", "\"quoted\" unq \"two\" <a@b>",
    "\"\"@x", "\"\" <b@x>", "\" \" <c@x>", "\"a b\"@x, x@y", "a\\@b@c, x@y", "<a b@c>, x@y", "<\"a b\"@c>, x@y",
    "a@b@c, x@y", "a..b@c, .a@b, a.@b", "a@b., x@y", "Foo<a@b>, x@y", "Foo \"Bar\"<a@b>, x@y",
    "a@b (unterminated, x@y", "", "()", "(x)", ";", "a@b\\, c@d", "Foo <mailto:a@b>, x@y",
    "[Foo] <a@b>, x@y", "Foo [bar] <a@b>, x@y", "Foo, Bar <a@b>", "Foo@Bar <a@b>, x@y", "'a@b' <a@b>, x@y",
    "b\udce4r <a\udcfc@x>", "\u4f60\u597d <a@b>", "a@b\u00e4.example", "\"\u00e4 \\\u00f6\" <a@b>",
    "a@b" + " " * 300 + "(x)", "(((((a)))))b@c", "a(b)c@d", "a@b(c)d", "\"a\\", "\"a\\\\\" <b@c>", "<a@b>,<c@d>",
    "a@b <c@d>", "a <b> <c@d>", "a\t<b@c>", "Foo =?utf-8?b?w6Q=?= Bar <a@b>", "\"=?utf-8?q?x?=\" <a@b>",
    "a@b,\n\n", "a@b, \x00c@d".replace("\x00", "c"), "*@b", "a+b@c, a/b@c, a=b@c", "a%b@c", "a!b!c",
    "Foo (x) <a@b> (y) (z)", "a@b (x) (y)", "a@\"b\"", "<a@b", "<", ">", "@", "@@", ",", "\\", "\"", "(", ")", "a)",
    "a: b: c@d;", "a:b;c:d;", "<a@b>c@d", "a,b", "a b, c d <e@f>",
]

numbered("addr", ADDRESSES, lambda a: "From: sender@example.org\nTo: %s\nSubject: x\n\nbody\n" % a.rstrip("\n"))

AUTHORS = [
    "From: a@b\nReply-To: <>\nSender: x\n", "From: a@b\nSender: \nReply-To:\n", "From:\n", "Sender: a@b\n",
    "Reply-To: a@b\n", "From: a@b\nFrom: c@d\n", "From: a@b\nSender: c@d\nSender: e@f\n",
    "From: a@b\nReply-To: r@s, t@u\n", "From: g: a@b;\n", "From: a@b, c@d\nSender: c@d\n",
]
numbered("addr-author", AUTHORS, lambda h: h + "\nbody\n")

# Author and recipient that are next to nothing.
for name, value in [
    ("quotes", '""'), ("two-quotes", '"" ""'), ("quotes-space", '" "'), ("quotes-comment", '"" (c)'), ("quotes-angle", '"" <>'),
    ("quotes-domain", '""@b'), ("quotes-then", '"", a@b'), ("quotes-group", '"":;'), ("angle", "<>"), ("semicolon", ";"),
    ("comma", ","), ("comment", "(c)"), ("group", ":;"), ("undisclosed", "undisclosed-recipients:;"),
]:
    add("addr-empty-" + name, "From: %s\nTo: %s\nSubject: x\n\nbody\n" % (value, value))

# ---------------------------------------------------------------- header syntax

HEADERS = [
    "", "\n", "Subject: x", "Subject: x\n", "Subject: x\n\n", "body only, no header\nat all\n",
    "\nSubject: after the end\n\nbody\n", "nocolon line\nSubject: x\n\nb\n", " leading\nSubject: x\n\nb\n",
    "From nobody Mon Jan  1 00:00:00 2026\nSubject: x\n\nb\n", ">From x\nSubject: y\n\nb\n",
    ": empty\nSubject: y\n\nb\n", "Subject : spaced\nTo : a@b\n\nb\n", "Subject\t: tab\n\nb\n",
    "Subject:nospace\n\nb\n", "Subject:  a  b  \nIn-Reply-To:  x (c)  \n\nb\n", "Subject: a\n \n b\n\nb\n",
    "Subject: a\n\tb\n   c\nMessage-ID:\n <q>\nDate:\n\nb\n", "Subject:\n\nb\n", "Subject: \n \n\nb\n",
    "Subject: a\nsubject: b\nSUBJECT: c\n\nb\n",
    "Date: x\nDate: y\nMessage-ID: <a>\nMessage-ID: <b>\nIn-Reply-To: <c>\nIn-Reply-To: <d>\n\nb\n",
    "In-Reply-To:\n <x>\n\t<y>\n\nb\n", "To: a@b\nTo: c@d\nCc:\nCc: x@y\nBcc: q@r\n\nb\n",
    "Subject: a \"q\" \\b {c} \n\nb\n", "Subject: {5}\n\nb\n", "Subject: NIL\n\nb\n", "Subject: \"\n\nb\n",
    "Subject: %s\n\nb\n" % ("long " * 300), "Subject: x\n" + "X-Many: y\n" * 500 + "\nb\n",
    "X" * 2000 + ": y\nSubject: x\n\nb\n", "Subject: x\nlone\n cont\nTo: a@b\n\nb\n",
    "Subject: \u00fcml\u00e4ut\n\nb\n", "Subject: \udcfcml\udce4ut\n\nb\n", "Subj\u00e9ct: x\nSubject: y\n\nb\n",
    "Date: Sat, 21 Nov 2026 12:00:00 +0100 (CET)\nSubject: d\n\nb\n", "Date: 21 Nov 26\n\nb\n",
    "Subject: x\n \nTo: a@b\n\nb\n", "Subject: x\n\t\n\nb\n", "Message-ID: <a\n b@c>\n\nb\n",
    "Subject:\n x\n\nb\n", "Subject:\n\tx\n\nb\n", "Subject: \n\t x\n\nb\n",
    "Received: a\nReceived: b\nSubject: x\nReceived: c\nsUbJeCt: y\n\nb\n",
    "To: a@b\nX: -- not a boundary\n\n--\nsig\n", "--x\nSubject: y\n\nb\n", "Subject: x\n\n\n\n",
    "\n\n\n", "Subject: tab\tinside\n\nb\n", "Subject: x\nSubject\n\nb\n",
]
numbered("head", HEADERS, lambda h: h)

# ---------------------------------------------------------------- Content-Type

TYPES = [
    "text/plain", "TEXT/PLAIN", "text/html; charset=utf-8", "text/plain; charset=\"iso-8859-1\"",
    "text/plain; CHARSET=x; Charset=y", "text", "text/", "/plain", "", ";", "; charset=utf-8", "text/plain;",
    "text/plain;;; charset=utf-8;;", "text/plain charset=utf-8", "text/plain; charset", "text/plain; charset=",
    "text/plain; =utf-8", "text/plain; charset=utf-8 (comment)", "text (c) / (c) plain (c) ; (c) charset (c) = (c) x",
    "text/plain; charset=\"a\\\"b\\\\c\"", "text/plain; charset=\"unterminated", "text/plain; name=a b c.txt",
    "text/plain; name=a/b.txt", "text/plain; name=foo(1).txt", "text/plain; name=a=b", "text/plain; name='a b'",
    "text/plain; name=\"a\n b\"", "text/plain;\n\tcharset=x;\n\tformat=flowed;\n delsp=yes",
    "text/plain; charset = x", "application/octet-stream; name=x", "application", "application/",
    "image/png", "image", "audio/x-wav; a=1; b=2; c=3", "video/mp4", "x-foo/x-bar; p=\"q\"", "foo/bar/baz",
    "text/plain/extra; a=b", "multipart/mixed", "multipart/mixed; boundary=", "multipart/mixed; boundary=\"\"",
    "multipart", "multipart/", "multipart/digest", "message/rfc822", "MESSAGE/RFC822", "message/partial; id=x; number=1",
    "message/external-body; access-type=x", "message/delivery-status", "message/global", "message", "model/vrml",
    "\"text\"/\"plain\"", "text/\"plain\"", "te xt/plain", "text /plain", "text/plain; a=b; a=c; A=d",
    "text/plain; name=\u00e4.txt", "text/\u00e4", "text/plain; name=\"\udce4.txt\"", "text/x-\u4f60; a=b", "text/plain, charset=x",
    "text/plain: charset=x", "text\\plain", "text/plain; name==?utf-8?q?=C3=A4?=; charset=utf-8",
    "text/plain; name=\"=?utf-8?q?=C3=A4?=\"", "*/*", "text/*", "text/plain; charset=%s" % ("x" * 3000),
    "text/plain; " + "; ".join("p%d=v%d" % (i, i) for i in range(60)),
]
numbered("ct", TYPES, lambda t: "Subject: x\nMIME-Version: 1.0\nContent-Type: %s\n\nbody\nof it\n" % t)

TYPE_HEADS = [
    "Content-Type: text/html\nContent-Type: image/png\n", "Content-Type: text/html\n", "content-type: TEXT/html\n",
    "MIME-Version: 1.0\n", "MIME-Version: 2.0\nContent-Type: text/html\n", "Mime-version:\nContent-ID: <x>\n",
    "Content-Transfer-Encoding: base64\n", "Content-ID: <without-mime>\nContent-Disposition: attachment\n",
    "Content-Type : text/html\n", "Content-Type:text/html;charset=x\n", "Content-Type\n: text/html\n",
    "Content-Type:\n text/html;\n\n charset=x\n", "X-Content-Type: image/png\n", "Content-: x\nContent-Type: text/html\n",
]
numbered("ct-head", TYPE_HEADS, lambda h: "Subject: x\n" + h + "\nbody\nof it\n")

# ---------------------------------------------------------------- other Content- fields

EXTENSIONS = [
    "Content-ID: <a@b>", "Content-ID:", "Content-ID: no brackets", "Content-ID: <a> (c)", "Content-ID: <a>\nContent-ID: <b>",
    "Content-ID: \"q\\\"\"", "Content-Description: a description", "Content-Description: =?utf-8?q?=C3=A4?=",
    "Content-Description: folded\n\there", "Content-Description: \udce4", "Content-Description:",
    "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: BASE64", "Content-Transfer-Encoding: 8bit (c)",
    "Content-Transfer-Encoding: (c) 8bit", "Content-Transfer-Encoding: base64 junk", "Content-Transfer-Encoding:",
    "Content-Transfer-Encoding: \"8bit\"", "Content-Transfer-Encoding: x-uuencode", "Content-Transfer-Encoding: 7 bit",
    "Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: base64", "Content-Transfer-Encoding: 8bit;",
    "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==", "Content-MD5:", "Content-MD5: a b",
    "Content-Disposition: inline", "Content-Disposition: ATTACHMENT; filename=x.txt",
    "Content-Disposition: attachment; filename=\"a b.txt\"; size=12; creation-date=\"Sat, 21 Nov 2026 00:00:00 +0000\"",
    "Content-Disposition:", "Content-Disposition: ; filename=x", "Content-Disposition: filename=x",
    "Content-Disposition: attachment filename=x", "Content-Disposition: \"attachment\"; filename=x",
    "Content-Disposition: attachment; filename", "Content-Disposition: attachment; filename=",
    "Content-Disposition: attachment; filename=\"x", "Content-Disposition: attachment;\n filename=a;\n\tsize=1",
    "Content-Disposition: attachment; filename=\u00e4", "Content-Disposition: inline\nContent-Disposition: attachment",
    "Content-Disposition: (c) inline (c)", "Content-Language: en", "Content-Language: en, de", "Content-Language: en,de,,fr,",
    "Content-Language:", "Content-Language: en (English), de-CH", "Content-Language: \"en\"", "Content-Language: en de",
    "Content-Location: http://example.org/x", "Content-Location:", "Content-Location: a\n b", "Content-Location: a b",
    "Content-Location: \"x\"", "Content-Foo: bar", "Content-Language: en\nContent-Language: de",
]
numbered("ext", EXTENSIONS, lambda h: "Subject: x\nMIME-Version: 1.0\n%s\n\nbody\n" % h)
numbered("ext-part", EXTENSIONS[:4] + EXTENSIONS[24:34] + EXTENSIONS[40:44],
         lambda h: "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n%s\n\n--b\n%s\n\npart\n--b--\n" % (h, h))

# ---------------------------------------------------------------- RFC 2231 and RFC 2047

R2231 = [
    "name*=utf-8''%C3%A4.txt", "name*=utf-8'en'%C3%A4.txt", "name*0=a; name*1=b", "name*1=b; name*0=a",
    "name*0*=utf-8''%C3; name*1*=%A4; name*2=x", "name*0*=utf-8''a; name*1=\"b c\"", "name*0=\"b c\"; name*1*=%41",
    "name*1=b", "name*0=a; name*2=c", "name*0=a; name*0=b", "name*=a; name=b", "name=b; name*=a", "name*0*=''a",
    "name*x=a", "name*0x=a", "*=a", "*0=a", "name**=a", "name*0**=a", "name*00=a; name*01=b", "name*99999999999=a",
    "NAME*0=a; name*1=b", "name*0=a; charset=x; name*1=b", "charset*=us-ascii'en'utf-8", "charset*0=ut; charset*1=f-8",
    "a*0=1; b*0=2; a*1=3; b*1=4", "name*0=; name*1=b", "name*=utf-8''%", "name*=utf-8''%zz", "name*=utf-8'x",
    "; ".join("name*%d=v" % i for i in range(12)), "; ".join("name*%d=v" % i for i in reversed(range(12))),
]
numbered("r2231", R2231, lambda p: "MIME-Version: 1.0\nContent-Type: text/plain; %s\n"
         "Content-Disposition: attachment; file%s\n\nb\n" % (p, p))
add("r2231-boundary", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary*0=ab; boundary*1=cd\n\n"
    "--abcd\n\none\n--abcd\n\ntwo\n--abcd--\n")
add("r2231-boundary-encoded", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary*=us-ascii''abcd\n\n"
    "--abcd\n\none\n--abcd--\n")

R2047 = [
    "=?utf-8?q?=C3=A4?=", "=?utf-8?B?w6Q=?=", "=?utf-8?q?a?= =?utf-8?q?b?=", "=?utf-8?q?a?=\n =?utf-8?q?b?=",
    "=?utf-8?q?open", "=?utf-8?q?a b?=", "=?x?x?x?=", "=??q?a?=", "x=?utf-8?q?a?=y", "=?utf-8?q?" + "a" * 200 + "?=",
    "=?utf-8?q?=00=0D=0A?=", "=?iso-2022-jp?b?GyRCJDMbKEI=?=", "=?utf-7?q?+AGE-?=", "(=?utf-8?q?a?=)", "\"=?utf-8?q?a?=\"",
    "=?utf-8*en?q?a?=", "=?=?=?=?", "=?utf-8?b?!!!?=",
]
numbered("r2047", R2047, lambda w: "Subject: %s\nFrom: %s <a@b>\nTo: (%s) c@d\nCc: \"%s\" <e@f>\n"
         "MIME-Version: 1.0\nContent-Type: text/plain; name=\"%s\"\nContent-Description: %s\n\nb\n" % ((w,) * 6))

# ---------------------------------------------------------------- charsets

SAMPLES = [
    ("utf-8", "Gr\u00fc\u00dfe, \u4f60\u597d \U0001f600"), ("iso-8859-1", "Gr\u00fc\u00dfe"), ("iso-8859-15", "10 \u20ac"),
    ("windows-1252", "\u201equoted\u201c"), ("iso-2022-jp", "\u3053\u3093\u306b\u3061\u306f"), ("shift_jis", "\u3053\u3093\u306b\u3061\u306f"),
    ("euc-jp", "\u3053\u3093\u306b\u3061\u306f"), ("gb2312", "\u4f60\u597d"), ("gb18030", "\u4f60\u597d\U0001f600"), ("big5", "\u4f60\u597d"),
    ("koi8-r", "\u041f\u0440\u0438\u0432\u0435\u0442"), ("windows-1251", "\u041f\u0440\u0438\u0432\u0435\u0442"), ("euc-kr", "\uc548\ub155"),
    ("utf-7", "Gr\u00fc\u00dfe"), ("utf-16", "wide"), ("iso-8859-8", "\u05e9\u05dc\u05d5\u05dd"), ("tis-620", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35"),
    ("iso-2022-kr", "\uc548\ub155"), ("hz", "\u4f60\u597d"), ("cp437", "\u2592"),
]
for charset, sample in SAMPLES:
    raw = sample.encode(charset)
    label = "hz-gb-2312" if charset == "hz" else charset
    top = "Subject: %s\nMIME-Version: 1.0\nContent-Type: text/plain; charset=%s\n" % (label, label)
    encoded = base64.encodebytes(raw).decode("ascii")
    add("cs-%s-b64" % label, top + "Content-Transfer-Encoding: base64\n\n" + encoded)
    add("cs-%s-qp" % label, (top + "Content-Transfer-Encoding: quoted-printable\n\n").encode() + quopri.encodestring(raw) + b"\n")
    if b"\n" not in raw and b"\0" not in raw:
        add("cs-%s-raw" % label, (top + "Content-Transfer-Encoding: 8bit\n\n").encode() + raw + b"\n")
    word = "=?%s?b?%s?=" % (label, base64.b64encode(raw).decode("ascii"))
    add("cs-%s-head" % label, "Subject: %s\nFrom: %s <a@b>\n\nb\n" % (word, word))

# ---------------------------------------------------------------- multiparts and boundaries

MIXED = "Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=%s\n\n"


def mixed(name, body, boundary="b"):
    add("mp-" + name, MIXED % boundary + body)


mixed("plain", "--b\n\none\n--b\n\ntwo\n--b--\n")
mixed("preamble", "preamble\n--b\n\none\n--b--\nepilogue\n")
mixed("no-close", "--b\n\none\n--b\n\ntwo\n")
mixed("no-close-no-eol", "--b\n\none\n--b\n\ntwo")
mixed("no-parts", "nothing here\n")
mixed("empty", "")
mixed("only-close", "--b--\n")
mixed("only-open", "--b\n")
mixed("only-open-no-eol", "--b")
mixed("close-no-eol", "--b\n\none\n--b--")
mixed("dashes-only", "--\n--b\n\none\n--b--\n")
mixed("part-no-header-blank", "--b\none line without colon\n--b--\n")
mixed("part-empty", "--b\n--b\n--b--\n")
mixed("part-empty-blank", "--b\n\n--b\n\n\n--b--\n")
mixed("part-header-only", "--b\nContent-Type: text/html\n--b\nContent-Type: text/html\n\n--b--\n")
mixed("trailing-space", "--b  \n\none\n--b \t\n\ntwo\n--b-- \n")
mixed("leading-space", " --b\n\none\n --b--\n")
mixed("prefix-line", "--bc\n\none\n--bdef\n\ntwo\n--b--\n")
mixed("close-junk", "--b\n\none\n--b--junk\n")
mixed("close-dashes", "--b\n\none\n--b---\n\nx\n")
mixed("after-close", "--b\n\none\n--b--\n--b\n\ntwo\n--b--\n")
mixed("inside-text", "--b\n\nx --b\n--B\n-- b\n-b\n--b--\n")
mixed("case", "--AB\n\none\n--ab\n\ntwo\n--ab--\n", "ab")
mixed("quoted", "--a b\n\none\n--a b--\n", "\"a b\"")
mixed("quoted-space-end", "--a b\n\none\n--a b--\n", "\"a b \"")
mixed("special-unquoted", "--=_x:y/z?\n\none\n--=_x:y/z?--\n", "=_x:y/z?")
mixed("equals-unquoted", "------=_Part_1\n\none\n------=_Part_1--\n", "----=_Part_1")
mixed("paren", "--a(b)c\n\none\n--a(b)c--\n", "\"a(b)c\"")
mixed("escaped", "--a\"b\n\none\n--a\"b--\n", "\"a\\\"b\"")
mixed("long", "--%s\n\none\n--%s--\n" % ("x" * 70, "x" * 70), "x" * 70)
mixed("too-long", "--%s\n\none\n--%s--\n" % ("x" * 300, "x" * 300), "x" * 300)
mixed("too-long-short-line", "--%s\n\none\n--%s--\n" % ("x" * 100, "x" * 100), "x" * 300)
mixed("dashes", "--------\n\none\n----------\n", "------")
mixed("dash-dash-end", "--b--\n\none\n--b----\n", "b--")
mixed("eight-bit", "--\u00e4\n\none\n--\u00e4--\n", "\"\u00e4\"")
add("mp-digest", (MIXED % "b").replace("mixed", "digest") + "--b\n\nSubject: in\nTo: a@b\n\nbody\n--b\n\nSubject: two\n\nx\n--b--\n")
add("mp-digest-text", (MIXED % "b").replace("mixed", "digest") + "--b\nContent-Type: text/plain\n\nbody\n--b--\n")
add("mp-digest-empty", (MIXED % "b").replace("mixed", "digest") + "--b\n--b\n\n--b--\n")
add("mp-digest-badtype", (MIXED % "b").replace("mixed", "digest") + "--b\nContent-Type: foo\n\nSubject: x\n\ny\n--b--\n")
add("mp-uppercase", (MIXED % "b").replace("multipart/mixed", "MULTIPART/Mixed") + "--b\n\none\n--b--\n")
add("mp-unknown-subtype", (MIXED % "b").replace("mixed", "x-foo") + "--b\n\none\n--b--\n")
add("mp-params", (MIXED % "b; type=\"text/html\"; start=\"<x>\"").replace("mixed", "related") +
    "--b\nContent-Type: text/html\nContent-ID: <x>\n\none\n--b--\n")
add("mp-two-boundaries", MIXED % "b; boundary=c" + "--b\n\none\n--c\n\ntwo\n--b--\n")
add("mp-base64-multipart", (MIXED % "b").replace("MIME-Version", "Content-Transfer-Encoding: base64\nMIME-Version") +
    "--b\n\none\n--b--\n")
add("mp-no-mime-version", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n")
add("mp-alternative", (MIXED % "b").replace("mixed", "alternative") + "--b\nContent-Type: text/plain\n\np\n"
    "--b\nContent-Type: text/html\n\n<p>\n--b--\n")


def nest(levels, inner="innermost\n", close=True, boundary="=%d="):
    text = inner
    for level in range(levels, 0, -1):
        name = boundary % level
        text = "Content-Type: multipart/mixed; boundary=\"%s\"\n\npre %d\n--%s\n%s" % (name, level, name, text)
        if close:
            text += "\n--%s--\npost %d" % (name, level)
    return "Subject: nested\nMIME-Version: 1.0\n" + text


for levels in (2, 3, 5, 10, 30, 60):
    add("mp-nest-%d" % levels, nest(levels, "\ninnermost"))
    add("mp-nest-open-%d" % levels, nest(levels, "\ninnermost", close=False))
add("mp-nest-deep", nest(150, "\ninnermost"))
add("mp-nest-prefixes", nest(120, "\ninnermost", boundary="b%d"))
add("mp-nest-same-boundary", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
    "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--\n--b\n\nthree\n--b--\n")
NESTED = ("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=%s\n\npre\n--%s\n"
          "Content-Type: multipart/alternative; boundary=%s\n\npre2\n--%s\n\none\n--%s\n\ntwo\n%s"
          "--%s\n\nthree\n--%s--\nepilogue\n")


def nested(name, outer, inner, close=True):
    add("mp-nested-" + name, NESTED % (outer, outer, inner, inner, inner, "--%s--\nafter\n" % inner if close else "", outer, outer))


nested("plain", "out", "in")
nested("inner-not-closed", "out", "in", close=False)
nested("inner-prefix-of-outer", "abcd", "ab")
nested("outer-prefix-of-inner", "ab", "abcd")
nested("outer-prefix-not-closed", "ab", "abcd", close=False)
nested("inner-prefix-not-closed", "abcd", "ab", close=False)
nested("inner-is-outer-dashes", "ab", "ab--")
nested("same", "ab", "ab")
add("mp-outer-in-inner-header", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\n"
    "Content-Type: multipart/mixed; boundary=i\n--o\n\ntwo\n--o--\n")
add("mp-outer-closes-in-inner", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\n"
    "Content-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--o--\n--i\n\ntwo\n--i--\n")
add("mp-outer-in-inner-preamble", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\n"
    "Content-Type: multipart/mixed; boundary=i\n\npreamble\n--o\n\ntwo\n--i\n\nno part\n--o--\n")
add("mp-many-parts", MIXED % "b" + "".join("--b\n\npart %d\n" % i for i in range(120)) + "--b--\n")
add("mp-siblings", MIXED % "b" + "".join(
    "--b\nContent-Type: multipart/mixed; boundary=c%d\n\n--c%d\n\nx%d\n--c%d--\n" % (i, i, i, i) for i in range(12)) + "--b--\n")
add("mp-siblings-same", MIXED % "b" + "".join(
    "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx%d\n--c--\n" % i for i in range(6)) + "--b--\n")

# ---------------------------------------------------------------- message/rfc822

INNER = "Subject: inner\nFrom: a@b\nTo: c@d\nDate: Sat, 21 Nov 2026 12:00:00 +0000\nMessage-ID: <i@x>\n"


def embedded(name, content, head="Content-Type: message/rfc822\n"):
    add("rfc822-top-" + name, "Subject: outer\nMIME-Version: 1.0\n" + head + "\n" + content)
    add("rfc822-part-" + name, MIXED % "b" + "--b\n" + head + "\n" + content + "\n--b\n\nnext\n--b--\n")


embedded("plain", INNER + "\nbody\nof it\n")
embedded("empty", "")
embedded("blank", "\n")
embedded("header-only", INNER)
embedded("no-header", "\njust a body\n")
embedded("garbage", "no colon here\nnor here\n")
embedded("html", INNER + "MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\nContent-ID: <z>\n\n<p>\n")
embedded("no-mime", INNER + "Content-ID: <z>\nContent-Transfer-Encoding: base64\n\nx\n")
embedded("multipart", INNER + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--i\n\ntwo\n--i--\n")
embedded("multipart-same", INNER + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n")
embedded("multipart-open", INNER + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n")
embedded("multipart-empty", INNER + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=i\n\n")
embedded("twice", "Subject: mid\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n" + INNER + "\nbody\n")
embedded("base64", "U3ViamVjdDogaW5uZXIKCmJvZHkK\n", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n")
embedded("params", INNER + "\nb\n", "Content-Type: message/rfc822; name=\"fwd.eml\"; x=y\nContent-Disposition: inline; filename=f\n")
embedded("groups", "From: g: a@b;\nTo: undisclosed-recipients:;\nCc: \"q\" <e@f>\n\nb\n")
embedded("eight-bit", "Subject: \u00e4\nFrom: \u00f6 <a@b>\n\n\u00fc\n")
for levels in (5, 20, 45):
    text = INNER + "\ninnermost\n"
    for level in range(levels):
        text = "Subject: level %d\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n" % level + text
    add("rfc822-nest-%d" % levels, text)
text = INNER + "\ninnermost\n"
for level in range(120):
    text = "Subject: level %d\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n" % level + text
add("rfc822-nest-deep", text)
add("rfc822-outer-boundary-in-header", MIXED % "b" + "--b\nContent-Type: message/rfc822\n\nSubject: in\n--b\n\nnext\n--b--\n")
add("rfc822-outer-boundary-at-once", MIXED % "b" + "--b\nContent-Type: message/rfc822\n\n--b\n\nnext\n--b--\n")
add("rfc822-no-blank", MIXED % "b" + "--b\nContent-Type: message/rfc822\n--b\n\nnext\n--b--\n")
add("rfc822-report", "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
    "--b\n\nIt failed.\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\n"
    "--b\nContent-Type: text/rfc822-headers\n\nSubject: orig\n--b--\n")

# ---------------------------------------------------------------- line ends and NUL

BASE = nest(2, "Content-Type: text/plain\n\none\ntwo\n")
add("eol-lf", BASE, crlf=False)
add("eol-lf-rfc822", "Subject: o\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n" + INNER + "\nb\nb\n", crlf=False)
add("eol-mixed", BASE.replace("\n", "\r\n", 5), crlf=False)
add("eol-crlf-then-lf", BASE.replace("\n", "\r\n")[:200].encode() + BASE[190:].encode(), crlf=False)
add("eol-cr-only", "Subject: x\rTo: a@b\r\rbody\r", crlf=False)
add("eol-cr-in-value", "Subject: x\r\ry\nTo: a@b\n\nb\n", crlf=False)
add("eol-crcrlf", "Subject: x\r\r\nTo: a@b\r\r\n\r\r\nb\r\r\n", crlf=False)
add("eol-cr-blank", "Subject: x\n\r\nb\n", crlf=False)
add("eol-blank-cr", "Subject: x\r\n\nb\r\n", crlf=False)
add("eol-no-final", "Subject: x\r\n\r\nbody", crlf=False)
add("eol-final-cr", "Subject: x\r\n\r\nbody\r", crlf=False)
add("eol-header-final-cr", "Subject: x\r", crlf=False)
add("eol-nul-body", b"Subject: x\r\n\r\nbo\0dy\r\n", crlf=False)
add("eol-nul-subject", b"Subject: nul\0x\r\n\r\nb\r\n", crlf=False)
add("eol-nul-name", b"Sub\0ject: x\r\nTo: a@b\r\n\r\nb\r\n", crlf=False)
add("eol-nul-address", b"To: a\0b@c, d@e\r\n\r\nb\r\n", crlf=False)
add("eol-nul-param", b"MIME-Version: 1.0\r\nContent-Type: text/plain; name=\"a\0b\"\r\n\r\nb\r\n", crlf=False)
add("eol-nul-type", b"MIME-Version: 1.0\r\nContent-Type: te\0xt/plain; name=a\r\n\r\nb\r\n", crlf=False)
add("eol-nul-boundary", b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"a\0b\"\r\n\r\n"
    b"--a\0b\r\n\r\none\r\n--a\0b--\r\n", crlf=False)
add("eol-nul-only", b"\0" * 100, crlf=False)
add("eol-control", bytes(range(1, 32)) + b": x\r\nSubject: " + bytes(range(14, 32)) + b"\r\n\r\nb\r\n", crlf=False)
add("eol-high", b"Subject: " + bytes(range(128, 256)) + b"\r\n\r\n" + bytes(range(128, 256)) + b"\r\n", crlf=False)
add("eol-lf-boundaries", (MIXED % "b").replace("\n", "\r\n") + "--b\n\none\n--b\r\n\r\ntwo\r\n--b--\n", crlf=False)
add("eol-cr-boundary", (MIXED % "b").replace("\n", "\r\n") + "--b\r\r\n\r\none\r\n--b--\r\r\n", crlf=False)
add("eol-boundary-after-cr", (MIXED % "b").replace("\n", "\r\n") + "--b\r\n\r\none\r--b\r\ntwo\r\n--b--\r\n", crlf=False)

# ---------------------------------------------------------------- size

add("big-line", "Subject: x\n\n" + "x" * 300000 + "\n")
add("big-subject", "Subject: " + "word " * 12000 + "\n\nb\n")
add("big-folded", "Subject:" + "\n folded" * 3000 + "\n\nb\n")
add("big-recipients", "From: a@b\nTo: " + ",\n ".join("User %d <u%d@example.org>" % (i, i) for i in range(3000)) + "\n\nb\n")
add("big-recipients-short", "To: " + "," * 5000 + "a@b\n\nb\n")
add("big-to-fields", "".join("To: u%d@example.org\n" % i for i in range(1500)) + "\nb\n")
add("big-references", "References: " + "\n ".join("<%d@example.org>" % i for i in range(3000)) + "\nSubject: x\n\nb\n")
add("big-comments", "To: " + "(" * 3000 + "x" + ")" * 3000 + " a@b\n\nb\n")
add("big-words", "Subject: " + " ".join("=?utf-8?q?=C3=A4?=" for _ in range(2000)) + "\n\nb\n")
add("big-received", "".join("Received: from h%d by h%d; Sat, 21 Nov 2026 12:00:00 +0000\n" % (i, i + 1) for i in range(400)) +
    "Subject: x\n\nb\n")
add("big-base64", "MIME-Version: 1.0\nContent-Type: application/pdf; name=x.pdf\nContent-Transfer-Encoding: base64\n\n" +
    base64.encodebytes(bytes(i * 7 % 256 for i in range(150000))).decode("ascii"))

# ---------------------------------------------------------------- mail as programs write it

add("real-simple", """Return-Path: <alice@example.org>
Received: from mx.example.org (mx.example.org [192.0.2.1])
\tby mail.example.net (Postfix) with ESMTPS id 4ABCDEF
\tfor <bob@example.net>; Sat, 21 Nov 2026 12:00:01 +0000 (UTC)
Date: Sat, 21 Nov 2026 12:00:00 +0000
From: Alice Example <alice@example.org>
To: Bob <bob@example.net>
Subject: Lunch?
Message-ID: <20261121120000.GA1234@example.org>
References: <1@example.net>
In-Reply-To: <1@example.net>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii
Content-Disposition: inline
User-Agent: Mutt/2.2.9

Hello Bob,

noon at the usual place?

--\x20
Alice
""")
add("real-attachment", """From: "Carol C." <carol@example.org>
To: =?UTF-8?Q?J=C3=BCrgen_M=C3=BCller?= <juergen@example.net>,
 "Dave, the Other" <dave@example.net>
Cc: team:;
Subject: =?UTF-8?B?UmVjaG51bmcgTsKwIDEy?=
 =?UTF-8?Q?_f=C3=BCr_November?=
Date: Fri, 20 Nov 2026 09:15:42 -0500
Message-ID: <a-b-c@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="------------0A1B2C3D4E5F"
Content-Language: de-DE

This is a multi-part message in MIME format.
--------------0A1B2C3D4E5F
Content-Type: multipart/alternative;
 boundary="------------F5E4D3C2B1A0"

--------------F5E4D3C2B1A0
Content-Type: text/plain; charset=UTF-8; format=flowed
Content-Transfer-Encoding: 8bit

Gr\u00fc\u00dfe
--------------F5E4D3C2B1A0
Content-Type: text/html; charset=UTF-8
Content-Transfer-Encoding: quoted-printable

<p>Gr=C3=BC=C3=9Fe</p>

--------------F5E4D3C2B1A0--

--------------0A1B2C3D4E5F
Content-Type: application/pdf;
 name="=?UTF-8?Q?Rechnung_f=C3=BCr_November=2Epdf?="
Content-Transfer-Encoding: base64
Content-Disposition: attachment;
 filename*0*=UTF-8''Rechnung%20f%C3%BCr%20;
 filename*1*=November.pdf

JVBERi0xLjQKJcOkw7zDtsOfCg==

--------------0A1B2C3D4E5F--
""")
add("real-smime", """From: a@example.org
To: b@example.org
Subject: signed
MIME-Version: 1.0
Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary="sig"

--sig
Content-Type: text/plain

Signed text.

--sig
Content-Type: application/pkcs7-signature; name=smime.p7s
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename=smime.p7s

MIIB
--sig--
""")
add("real-digest", """From: list@example.org
To: list@example.org
Subject: list Digest, Vol 1
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="===============1=="

--===============1==
Content-Type: text/plain; charset="us-ascii"
Content-Description: list Digest

Topics

--===============1==
Content-Type: multipart/digest; boundary="===============2=="

--===============2==
Content-Type: message/rfc822
MIME-Version: 1.0

From: x@example.org
Subject: one
Message: 1

First.

--===============2==

From: y@example.org
Subject: two

Second.
--===============2==--

--===============1==--
""")
add("real-uuencode", "From: old@example.org\nSubject: file\n\nbegin 644 x\n#0V%T\n`\nend\n")
add("real-8bit-subject", "From: \udcc4rger <x@example.org>\nSubject: Gr\udcfc\udcdfe\n\nh\udce4\n")
add("real-outlook", "From: \"Foo Bar\" <foo@example.org>\nTo: \"'baz@example.org'\" <baz@example.org>; qux@example.org\n"
    "Subject: FW: x\nThread-Topic: x\nMIME-Version: 1.0\nContent-Type: multipart/related;\n"
    "\tboundary=\"_004_X_\"; type=\"multipart/alternative\"\n\n--_004_X_\nContent-Type: multipart/alternative;\n"
    "\tboundary=\"_000_X_\"\n\n--_000_X_\nContent-Type: text/plain; charset=\"us-ascii\"\n"
    "Content-Transfer-Encoding: quoted-printable\n\nx\n\n--_000_X_\nContent-Type: text/html; charset=\"us-ascii\"\n"
    "Content-Transfer-Encoding: quoted-printable\n\n<p>\n\n--_000_X_--\n\n--_004_X_\nContent-Type: image/png; name=\"image001.png\"\n"
    "Content-Description: image001.png\nContent-Disposition: inline; filename=\"image001.png\"; size=3;\n"
    "\tcreation-date=\"Sat, 21 Nov 2026 12:00:00 GMT\"\nContent-ID: <image001.png@01>\nContent-Transfer-Encoding: base64\n\n"
    "AAAA\n\n--_004_X_--\n")

# ---------------------------------------------------------------- truncation

for name in ("real-attachment", "rfc822-part-multipart"):
    data = _corpus[name]
    for i in range(1, 16):
        add("cut-%s-%02d" % (name, i), data[:len(data) * i // 16], crlf=False)


def corpus():
    return _corpus


def pack(out):
    for key, value in corpus().items():
        out.write(b"%s %d\n%s\n" % (key.encode(), len(value), value))


if __name__ == "__main__":
    if sys.argv[1] == "--pack":
        with open(sys.argv[2], "wb") as packed:
            pack(packed)
        sys.exit(0)
    os.makedirs(sys.argv[1], exist_ok=True)
    for key, value in corpus().items():
        with open(os.path.join(sys.argv[1], key + ".eml"), "wb") as out:
            out.write(value)
    print(len(corpus()), "messages")
