"""The unit under a real systemd: it starts, serves, reloads, is restarted, is confined, stops

systemd runs as process 1 of name spaces of its own, on an overlay of this system's root, so that
nothing it does stays. Skipped where there is no systemd, no root, or no right to mount.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

from tests.system.harness import TOP, stage_directory

SYSTEMD = "/lib/systemd/systemd"

# In a control group of its own, which is removed again.
AROUND = r"""
mount --make-rprivate /
mkdir {where}/groups
mount -t cgroup2 none {where}/groups || exit 1
mine={where}/groups/rims-test-$$
mkdir $mine && echo $$ > $mine/cgroup.procs || exit 1
unshare --kill-child -m -p -f -u -i -n -C bash -c "$1"
echo $$ > {where}/groups/cgroup.procs
find $mine -depth -type d -exec rmdir {{}} +
"""

# As process 1: the overlay becomes the root, with devices, /proc, /sys and control groups.
ENTER = r"""
set -e
mount --make-rprivate /
mount -t tmpfs none {where}
mkdir {where}/upper {where}/work {where}/root
chmod 755 {where}/upper
R={where}/root
mount -t overlay overlay -o lowerdir=/,upperdir={where}/upper,workdir={where}/work $R
cp -a {tree}/. $R/
mount -t proc proc $R/proc
mount -t tmpfs -o mode=755 none $R/dev
for n in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0" "ptmx 5 2"; do
  set -- $n
  mknod -m 666 $R/dev/$1 c $2 $3
done
mkdir $R/dev/shm
mount -t tmpfs none $R/dev/shm
mount -t sysfs sysfs $R/sys
mount -t cgroup2 cgroup2 $R/sys/fs/cgroup
mount -t tmpfs -o mode=755 none $R/run
mkdir -p $R/.old
mount --rbind {tree} $R/mnt
cd $R
pivot_root . .old
umount -l /.old
echo entered > /mnt/entered
export container=rims
exec {systemd} --system --unit=rims-test.target --log-target=null --show-status=0
"""

# As a service of that systemd. What it writes is compared line by line.
PROBE = r"""#!/bin/bash
exec > /mnt/out 2>&1
until_true() { for _ in $(seq 200); do "$@" && return; sleep 0.05; done; echo "never: $*"; }
count() { systemctl show -p NRestarts --value rims; }
main() { systemctl show -p MainPID --value rims; }
restarted() { [ "$(count)" -ge 1 ] && systemctl is-active -q rims; }
ip link set lo up 2>/dev/null || python3 /mnt/loopback_up.py
deliver() { printf 'Subject: unit\r\n\r\n%s\r\n' "$1" | /usr/local/bin/rims-deliver -d alice; echo "deliver $?"; }
status() { python3 /mnt/status.py; }
echo "active $(systemctl is-active rims)"
deliver one
status
systemctl reload rims; echo "reload $?"
deliver two
systemctl kill -s KILL --kill-whom=main rims
until_true restarted
deliver three
status
nsenter -t "$(main)" -m touch /usr/local/x 2>/dev/null; echo "write outside $?"
ctl() { /usr/local/sbin/rims-ctl "$@"; }
ours() { grep -q '/rims.service$' "/proc/$(main)/cgroup" && echo "confined"; }
ctl status | head -1 | sed 's/process [0-9]*/process N/'
python3 /mnt/stay.py
before=$(main)
ctl restart; echo "restart $?"
[ "$(main)" != "$before" ] && systemctl is-active rims; ours
deliver four
ctl stop; echo "stop $? $(systemctl is-active rims) $(systemctl show -p Result --value rims)"
pgrep -c rims-; echo "left"
ls -d /run/rims
ctl status; echo "status $?"
ctl try-restart; echo "try-restart $?"
# What is not the suite's own way to start leaves nothing of its own.
ctl start; echo "start $?"; ours
mkdir /run/systemd/system/rims.service.d
printf '[Service]\nRestartSec=1h\n' > /run/systemd/system/rims.service.d/slowly.conf
systemctl daemon-reload
waits() { [ "$(systemctl show -p SubState --value rims)" = auto-restart ]; }
for verb in stop restart; do
  systemctl kill -s KILL --kill-whom=main rims
  until_true waits
  ctl status; echo "status $?"
  ctl $verb; echo "$verb $? $(systemctl is-active rims)"
  [ $verb = restart ] || ctl start
  ours
done
ctl stop
/usr/local/bin/rims daemon start -f /usr/local/etc/rims/config.yml
echo "daemon start $? $(systemctl is-active rims)"
ours
ctl stop
/usr/local/libexec/rims/rims-controller -d -c /usr/local/etc/rims/config.yml > /dev/null 2>&1; echo "by hand $?"
systemctl start rims 2>/dev/null; echo "a second one $?"
systemctl stop rims
deliver five
ctl status | head -1 | sed 's/process [0-9]*/process N/'
status
ctl stop; echo "stop $?"
# A mistake in the configuration: the unit fails, and status says so.
printf '[Service]\nRestart=no\n' > /run/systemd/system/rims.service.d/slowly.conf
systemctl daemon-reload
sed 's/^imap_port: .*/imap_port: imap2\nlog_level: LOUD/' -i /usr/local/etc/rims/config.yml
systemctl start rims 2>/dev/null; echo "a mistake $?"
sed '/^log_level: LOUD/d' -i /usr/local/etc/rims/config.yml
ctl status; echo "status $?"
systemctl start hand; echo "of a unit of one's own $?"
ctl status | head -1 | sed 's/process [0-9]*/process N/'
systemctl stop hand; echo "stop $? $(systemctl show -p Result --value hand)"
systemctl reset-failed rims; systemctl start rims; echo "start $?"
systemctl stop rims; echo "stop $? $(systemctl show -p Result --value rims)"
pgrep -c rims-; echo "left"
cat /var/log/rims/imap.log > /mnt/imap.log
touch /mnt/done
systemctl exit 0
"""

STATUS = """
import imaplib
imap = imaplib.IMAP4("127.0.0.1", 143)
imap.login("alice", "secret")
print(imap.status("INBOX", "(MESSAGES)")[1][0].decode())
imap.logout()
"""

STAY = """
import imaplib, json, subprocess
imap = imaplib.IMAP4("127.0.0.1", 143)
imap.login("alice", "secret")
def ctl(*words):
    return subprocess.run(["/usr/local/sbin/rims-ctl", *words], stdout=subprocess.PIPE, check=True).stdout
told = json.loads(ctl("who", "--json"))["sessions"]
print("sessions of alice:", [s["user"] for s in told].count("alice"))
print(ctl("kick", "alice").decode().strip())
print(imap.readline().decode().strip())
"""

LOOPBACK = """
import fcntl, socket, struct
with socket.socket() as s:
    request = struct.pack("16sh14x", b"lo", 0)
    flags = struct.unpack("16sh14x", fcntl.ioctl(s, 0x8913, request))[1]
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))
"""

CONFIG = """
base_dir: /var/lib/rims
log_file: /var/log/rims/imap.log
imap_host: 127.0.0.1
imap_port: imap2
process_privilege_user: _rims
process_privilege_group: _rims
user_list:
  - {user: alice, pass: secret}
paths: {run_dir: /run/rims}
"""

UNITS = {
    "rims-test.target": "[Unit]\nRequires=probe.service\nAllowIsolate=yes\n",
    # The users and directories of the suite, as a boot makes them.
    "setup.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
                     "ExecStart=systemd-sysusers /usr/local/lib/sysusers.d/rims.conf\n"
                     "ExecStart=systemd-tmpfiles --create /usr/local/lib/tmpfiles.d/rims.conf\n",
    "probe.service": "[Unit]\nRequires=setup.service\nWants=rims.service\n"
                     "After=setup.service rims.service\n"
                     "[Service]\nType=oneshot\nExecStart=/bin/bash /mnt/probe.sh\n",
    "hand.service": "[Service]\nType=forking\nPIDFile=/run/rims/rims.pid\nTimeoutStopSec=20\n"
                    "ExecStart=/usr/local/sbin/rims-ctl start\n"
                    "ExecStop=/usr/local/sbin/rims-ctl stop\n",
    "rims.service.d/after.conf": "[Unit]\nAfter=setup.service\n",
}


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


class RealSystemd(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        for needed in (SYSTEMD, shutil.which("systemd-sysusers"), shutil.which("nsenter")):
            if not needed or not os.path.exists(needed):
                self.skipTest("systemd is not installed")
        self.top = tempfile.TemporaryDirectory(prefix="rims-systemd-")
        self.addCleanup(self.top.cleanup)
        os.chmod(self.top.name, 0o755)

    def test_the_life_of_the_unit(self):
        tree, where = os.path.join(self.top.name, "tree"), os.path.join(self.top.name, "where")
        os.makedirs(os.path.join(where, "inside"))
        os.makedirs(tree)
        os.chmod(tree, 0o755)
        local = os.path.join(tree, "usr", "local")
        shutil.copytree(stage_directory(), local, symlinks=True)
        unit = os.path.join(local, "lib", "systemd", "system", "rims.service")
        with open(unit, encoding="ascii") as f:
            text = f.read()
        text = re.sub(r"=\S+/(libexec/rims/rims-controller|sbin/rims-ctl) ",
                      r"=/usr/local/\1 ", text)
        text = re.sub(r"(-c|ConditionPathExists=) ?\S+/rims/config.yml",
                      lambda m: m[1] + ("" if m[1].endswith("=") else " ")
                      + "/usr/local/etc/rims/config.yml", text)
        write(unit, text)
        for name, body in UNITS.items():
            write(os.path.join(tree, "etc", "systemd", "system", name), body)
        write(os.path.join(tree, "usr/local/etc/rims/config.yml"), CONFIG, 0o600)
        write(os.path.join(tree, "probe.sh"), PROBE)
        write(os.path.join(tree, "status.py"), STATUS)
        write(os.path.join(tree, "stay.py"), STAY)
        write(os.path.join(tree, "loopback_up.py"), LOOPBACK)
        os.makedirs(os.path.join(tree, "mnt"))
        script = ENTER.format(where=os.path.join(where, "inside"), tree=tree, systemd=SYSTEMD)
        done = subprocess.run(
            ["unshare", "-m", "bash", "-c", AROUND.format(where=where), "around", script],
            capture_output=True, text=True, timeout=120, check=False, cwd="/")
        if not os.path.exists(os.path.join(tree, "entered")):
            self.skipTest("no name space for a systemd here: " + done.stderr.strip()[-200:])

        def told(name):
            path = os.path.join(tree, name)
            if not os.path.exists(path):
                return ""
            with open(path, encoding="utf-8", errors="replace") as f:
                return f.read()
        everything = told("out") + done.stderr + told("imap.log")
        self.assertTrue(os.path.exists(os.path.join(tree, "done")), everything)
        self.assertEqual(told("out").splitlines(), [
            "active active", "deliver 0", "INBOX (MESSAGES 1)", "reload 0", "deliver 0", "deliver 0",
            "INBOX (MESSAGES 3)", "write outside 1",
            # rims-ctl goes through systemd, so the unit's state is right and nothing leaves it.
            "rims runs, with process N, which is rims.service of systemd",
            "sessions of alice: 1", "sessions ended: 1", "* BYE the administrator has ended this session",
            'rims is started again, by "systemctl restart rims.service"', "restart 0", "active",
            "confined", "deliver 0",
            'rims is stopped, by "systemctl stop rims.service"', "stop 0 inactive success",
            "0", "left",
            # A unit that fails to start takes nothing from the suite that runs.
            "/run/rims",
            # Stopped, it is still the unit's.
            "rims does not run; rims.service of systemd is inactive", "status 3",
            "rims does not run; rims.service of systemd is inactive", "try-restart 0",
            'rims is started, by "systemctl start rims.service"', "start 0", "confined",
            "rims does not run; rims.service of systemd is about to start it again", "status 1",
            'rims is stopped, by "systemctl stop rims.service"', "stop 0 inactive",
            'rims is started, by "systemctl start rims.service"', "confined",
            "rims does not run; rims.service of systemd is about to start it again", "status 1",
            'rims is started again, by "systemctl restart rims.service"', "restart 0 active", "confined",
            'rims is stopped, by "systemctl stop rims.service"',
            "daemon start 0 active", "confined", 'rims is stopped, by "systemctl stop rims.service"',
            "by hand 0", "a second one 1", "deliver 0", "rims runs, with process N",
            "INBOX (MESSAGES 5)", "rims is stopped", "stop 0",
            "a mistake 1", "rims does not run; rims.service of systemd has failed (exit-code)", "status 3",
            # A unit that calls rims-ctl itself, as an init script does.
            "of a unit of one's own 0", "rims runs, with process N, which is hand.service of systemd",
            "stop 0 success", "start 0",
            "stop 0 success", "0", "left"], everything)
