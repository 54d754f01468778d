# SPDX-License-Identifier: GPL-2.0
#
# Perl's own shmget, shmread, shmwrite and shmctl, and IPC::SysV and IPC::SharedMem.

use strict;
use warnings;
use IPC::SysV qw(IPC_CREAT IPC_EXCL IPC_PRIVATE IPC_RMID IPC_STAT S_IRUSR S_IWUSR ftok shmat shmdt memread memwrite);
use IPC::SharedMem;

my $key = ftok($0, 1);
my $text;

my $id = shmget($key, 2000, IPC_CREAT | IPC_EXCL | 0600);
defined $id or die "shmget: $!";
defined shmget($key, 2000, IPC_CREAT | IPC_EXCL | 0600) and die "made twice";
shmget($key, 0, 0) == $id or die "another segment";
shmwrite($id, "from the parent", 100, 20) or die "shmwrite: $!";

my $pid = fork;
if (!$pid) {
	shmread($id, $text, 100, 15) or die "shmread: $!";
	$text eq "from the parent" or die "read '$text'";
	shmwrite($id, "from the child", 0, 14) or die "shmwrite: $!";
	kill KILL => $$;
}
waitpid($pid, 0);
($? & 127) == 9 or die "the child ended with $?";
shmread($id, $text, 0, 14) or die "shmread: $!";
$text eq "from the child" or die "read '$text'";

my $object = IPC::SharedMem->new($key, 2000, S_IRUSR | S_IWUSR) or die "IPC::SharedMem: $!";
$object->id == $id or die "another segment";
$object->attach or die "attach: $!";
my $stat = $object->stat;
$stat->nattch == 1 && $stat->segsz == 2000 && $stat->uid == $> && $stat->cpid == $$
	or die "stat";
$object->write("by object", 50, 9) or die "write: $!";
$object->read(50, 9) eq "by object" or die "read";
$object->detach or die "detach: $!";

my $address = shmat($id, undef, 0) or die "shmat: $!";
memread($address, $text, 50, 9) or die "memread: $!";
$text eq "by object" or die "read '$text'";
defined shmdt($address) or die "shmdt: $!";
shmctl($id, IPC_RMID, 0) or die "shmctl: $!";
shmread($id, $text, 0, 1) and die "it is still there";
