package Test::Veil::Certs;

# Test::Veil::Certs -- certificates for tests, made with the openssl command.
#
#     my $tls = Test::Veil::TLS->new($t);         # which is one of these
#     $tls->ca('root');                           # root.crt, root.key
#     $tls->ca('sub', ca => 'root');              # an intermediate
#     $tls->cert('site', ca => 'sub', names => [qw/example.com *.a.test/]);
#     # site.crt, with its chain, and site.key, in the test's directory:
#     #     ssl_certificate %%TESTDIR%%/site.crt;
#
# An EC certificate costs one process of 10 ms.  RSA keys cost seconds, so
# they are kept beside the builds, in objs-keys (TEST_VEIL_KEYS names another
# directory), and every test after the first takes them from there.

use strict;
use warnings;

use Cwd ();
use Fcntl qw/:flock/;
use File::Basename ();
use File::Copy ();
use MIME::Base64 ();
use POSIX ();

my $root = Cwd::abs_path(
    File::Basename::dirname(__FILE__) . '/../../../..');

# Kinds of keys, as "genpkey" calls them.
my %kinds = (
    p256    => [ 'EC',  'ec_paramgen_curve:P-256' ],
    p384    => [ 'EC',  'ec_paramgen_curve:P-384' ],
    p521    => [ 'EC',  'ec_paramgen_curve:P-521' ],
    rsa2048 => [ 'RSA', 'rsa_keygen_bits:2048' ],
    rsa4096 => [ 'RSA', 'rsa_keygen_bits:4096' ],
);

sub path { return "$_[0]{dir}/$_[1]" }

# openssl(@arguments): runs the command in the test's directory; what it
# printed.  Dies if it fails.

sub openssl {
    my ($self, @args) = @_;
    my $r = $self->run_command([ 'openssl', @args ], timeout => 30);
    die "openssl @args:\n$r->{err}$r->{out}\n" if $r->{status} != 0;
    return $r->{out};
}

# key($name, $kind): $name.key.  password => text encrypts it.

sub key {
    my ($self, $name, $kind, %o) = @_;
    my $how = $kinds{ $kind // 'p256' } // die "no kind of key: $kind\n";
    my $file = "$name.key";

    if (defined $o{password}) {
        $self->key("$name.plain", $kind);
        $self->openssl('pkey', '-in', "$name.plain.key", '-out', $file,
            '-aes-256-cbc', '-passout', "pass:$o{password}");
    } elsif ($how->[0] eq 'RSA') {
        $self->_kept_key($kind, $how, $file);
    } else {
        $self->_new_key($how, $self->path($file));
    }
    chmod 0600, $self->path($file);
    return $self->path($file);
}

sub _new_key {
    my ($self, $how, $path) = @_;
    $self->openssl('genpkey', '-algorithm', $how->[0],
        '-pkeyopt', $how->[1], '-out', $path);
}

# _kept_key: one of the keys of this kind that the test has not used yet, from
# the directory that tests share; made, under a lock, by the first who asks.

sub _kept_key {
    my ($self, $kind, $how, $file) = @_;
    my $dir = $ENV{TEST_VEIL_KEYS} || "$root/objs-keys";
    my $n = $self->{kept}{$kind}++;
    my $kept = "$dir/$kind.$n.key";
    mkdir $dir, 0700;

    if (open my $lock, '>', "$dir/lock") {
        flock $lock, LOCK_EX;
        if (!-s $kept) {
            $self->_new_key($how, "$kept.new");
            rename "$kept.new", $kept or die "cannot rename $kept.new: $!\n";
        }
        File::Copy::copy($kept, $self->path($file))
            or die "cannot copy $kept: $!\n";
    } else {
        $self->_new_key($how, $self->path($file));
    }
}

# ca($name, %options): a certificate authority.
#   ca     the authority that signs it: an intermediate
#   key    kind of its key (p256)

sub ca {
    my ($self, $name, %o) = @_;
    return $self->cert($name, %o, authority => 1);
}

# cert($name, %options): $name.crt and $name.key; the path of the former.
#   names     what it is for ([ $name ]); names and addresses, "*.a.test"
#   ca        who signs it; itself if not given
#   key       p256, p384, p521, rsa2048, rsa4096 (p256)
#   keyfile   name of a certificate made before, whose key it shares
#   subject   "/CN=$name"
#   password  of the key
#   expired => 1, future => 1     not valid any more, not yet
#   client => 1                   for clients only
#   ext       further lines "name=value" of extensions
#   chain => 0                    without the intermediates in $name.crt

sub cert {
    my ($self, $name, %o) = @_;
    my $subject = $o{subject} // '/CN=' . ($o{names} ? $o{names}[0] : $name);
    $subject =~ s/\*/any/ unless $o{subject};
    my $key = $o{keyfile} // $name;
    $self->key($name, $o{key}, password => $o{password}) unless $o{keyfile};

    my @pass = defined $o{password} ? ('-passin', "pass:$o{password}") : ();
    my @ext = $self->_extensions($name, %o);
    my $leaf = "$name.leaf.crt";

    if ($o{expired} || $o{future}) {
        $self->_dated($name, $key, $leaf, $subject, \@pass, \@ext, %o);
    } else {
        my @by = $o{ca}
            ? ('-CA', "$o{ca}.leaf.crt", '-CAkey', "$o{ca}.key") : ();
        my $conf = $self->_request_conf;
        $self->openssl('req', '-x509', '-new', '-config', $conf,
            '-key', "$key.key", @pass, @by, '-out', $leaf,
            '-subj', $subject, '-days', 3650, '-sha256',
            map { ('-addext', $_) } @ext);
    }
    $self->{issuer}{$name} = $o{ca};
    my @chain = ($name);
    unless (defined $o{chain} && !$o{chain}) {
        # Up to the root, which the client has.
        while (my $up = $self->{issuer}{ $chain[-1] }) {
            last unless $self->{issuer}{$up};
            push @chain, $up;
        }
    }
    $self->_put("$name.crt",
        join '', map { $self->_slurp("$_.leaf.crt") } @chain);
    return $self->path("$name.crt");
}

sub _extensions {
    my ($self, $name, %o) = @_;
    my @ext = @{ $o{ext} // [] };

    if ($o{authority}) {
        return ('basicConstraints=critical,CA:TRUE',
            'keyUsage=critical,keyCertSign,cRLSign,digitalSignature', @ext);
    }
    my @names = map {
        (/^[\d.]+\z|:/ ? 'IP:' : 'DNS:') . $_
    } @{ $o{names} // [$name] };
    push @ext, 'subjectAltName=' . join ',', @names
        unless grep {/^subjectAltName=/} @ext;
    return ('basicConstraints=critical,CA:FALSE',
        'keyUsage=critical,digitalSignature,keyEncipherment',
        'extendedKeyUsage=' . ($o{client} ? 'clientAuth' : 'serverAuth'),
        @ext);
}

# The system's configuration has extensions of its own; this has none.

sub _request_conf {
    my ($self) = @_;
    return $self->{request_conf} //= $self->_put('openssl-req.conf',
        "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\n");
}

# _dated: "req" takes no dates, only "ca" does, which wants a directory.

sub _dated {
    my ($self, $name, $key, $leaf, $subject, $pass, $ext, %o) = @_;
    my $ca = $o{ca} // die "$name needs a ca\n";
    my $conf = $self->_ca_conf($ca);
    my $day = sub {
        POSIX::strftime('%y%m%d%H%M%SZ', gmtime(time + 86400 * $_[0]));
    };
    my @dates = $o{expired} ? ($day->(-20), $day->(-10))
        : ($day->(10), $day->(20));

    $self->_put("$name.ext", join "\n", @$ext, '');
    $self->openssl('req', '-new', '-config', $self->_request_conf,
        '-key', "$key.key", @$pass, '-subj', $subject,
        '-out', "$name.csr");
    $self->openssl('ca', '-batch', '-config', $conf, '-notext',
        '-in', "$name.csr", '-out', $leaf, '-extfile', "$name.ext",
        '-startdate', $dates[0], '-enddate', $dates[1]);
}

sub _ca_conf {
    my ($self, $ca) = @_;
    my $dir = $self->{dir};

    if (!-e "$dir/$ca.index") {
        $self->_put("$ca.index", '');
        $self->_put("$ca.serial", "1000\n");
        $self->_put("$ca.crlnumber", "01\n");
    }
    return $self->_put("$ca.conf", <<"EOC");
[ca]
default_ca = x
[x]
database = $dir/$ca.index
serial = $dir/$ca.serial
crlnumber = $dir/$ca.crlnumber
new_certs_dir = $dir
certificate = $dir/$ca.leaf.crt
private_key = $dir/$ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
unique_subject = no
policy = any
[any]
commonName = optional
EOC
}

sub _index_line {
    my ($self, $name, $revoked) = @_;
    my $text = $self->openssl('x509', '-in', "$name.leaf.crt", '-noout',
        '-serial', '-subject', '-nameopt', 'compat');
    my ($serial) = $text =~ /^serial=(\w+)/m;
    my ($subject) = $text =~ /^subject=\s*(.*)/m;
    return join("\t", ($revoked ? 'R' : 'V'), '351231235959Z',
        ($revoked ? '240101000000Z' : ''), $serial, 'unknown', $subject)
        . "\n";
}

# crl($ca, %options): $ca.crl, which lists the certificates of revoked => [
# names ]; its path.

sub crl {
    my ($self, $ca, %o) = @_;
    my $conf = $self->_ca_conf($ca);
    $self->_put("$ca.index",
        join '', map { $self->_index_line($_, 1) } @{ $o{revoked} // [] });
    $self->openssl('ca', '-config', $conf, '-gencrl', '-out', "$ca.crl");
    return $self->path("$ca.crl");
}

# staple($name, %options): the answer of an OCSP responder to a question
# about the certificate, $name.ocsp; its path.
#   status => 'revoked', 'unknown'   instead of good
#   request => bytes                 answers this question
#   days => n                        valid so long (7); 0: says nothing

sub staple {
    my ($self, $name, %o) = @_;
    my $ca = $self->{issuer}{$name} // die "$name has no ca\n";
    my $status = $o{status} // 'good';
    my $days = $o{days} // 7;

    $self->_put("$name.ocsp-index", $status eq 'unknown' ? ''
        : $self->_index_line($name, $status eq 'revoked'));
    $self->_put("$name.ocsp-index.attr", "unique_subject = no\n");
    my @ask = ('-issuer', "$ca.leaf.crt", '-cert', "$name.leaf.crt");
    if (defined $o{request}) {
        $self->_put("$name.ocsp-req", $o{request});
        @ask = ('-reqin', "$name.ocsp-req");
    }
    $self->openssl('ocsp', '-index', "$name.ocsp-index",
        '-CA', "$ca.leaf.crt", '-rsigner', "$ca.leaf.crt",
        '-rkey', "$ca.key", @ask, '-respout', "$name.ocsp",
        ($days ? ('-ndays', $days) : ()));
    return $self->path("$name.ocsp");
}

# spki($name): what Chromium's list of accepted keys has of a certificate.

sub spki {
    my ($self, $name) = @_;
    $self->openssl('x509', '-in', "$name.leaf.crt", '-pubkey', '-noout',
        '-out', "$name.pub");
    $self->openssl('pkey', '-pubin', '-in', "$name.pub", '-outform', 'DER',
        '-out', "$name.pub.der");
    $self->openssl('dgst', '-sha256', '-binary', '-out', "$name.spki",
        "$name.pub.der");
    return MIME::Base64::encode_base64($self->_slurp("$name.spki"), '');
}

# field($name, $what): of a certificate, as "openssl x509 -$what" prints it
# after the "=": serial, fingerprint, subject, issuer, enddate.

sub field {
    my ($self, $name, $what, @o) = @_;
    my $text = $self->openssl('x509', '-in', "$name.leaf.crt", '-noout',
        "-$what", @o);
    $text =~ s/\n\z//;
    return $text =~ /^[^=]*=\s*(.*)/s ? $1 : $text;
}

# ------------------------------------------------------------------- files --

sub _put {
    my ($self, $name, $content) = @_;
    my $path = $self->path($name);
    open my $f, '>', $path or die "cannot write $path: $!\n";
    binmode $f;
    print $f $content;
    close $f or die "cannot write $path: $!\n";
    return $path;
}

sub _slurp {
    my ($self, $name) = @_;
    open my $f, '<', $self->path($name) or return '';
    binmode $f;
    local $/;
    return scalar(<$f>) // '';
}

1;
