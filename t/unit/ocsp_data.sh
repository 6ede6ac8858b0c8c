#!/bin/sh
# t/unit/ocsp_data.sh > t/unit/ocsp_data.h -- certificates and OCSP responses
# for test_ocsp.c, made by the openssl program.
#
# They stay as they are: run this again only to add one.  The keys are thrown
# away.  OCSP_NOW is when they were made; what a test says of time counts from
# there.

set -e
work=$(mktemp -d)
trap 'test $? -eq 0 || cat log >&2; rm -rf "$work"' EXIT
cd "$work"
exec 3>&1 > log 2>&1
now=$(date +%s)

# key NAME ALGORITHM
key() {
    case $2 in
        rsa) openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 \
            -out "$1.key" ;;
        ed25519) openssl genpkey -algorithm ED25519 -out "$1.key" ;;
        *) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \
            -out "$1.key" ;;
    esac
}

# ca NAME ALGORITHM
ca() {
    key "$1" "$2"
    openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 7300 \
        -out "$1.pem"
}

# cert NAME CA SERIAL DAYS EXTENSIONS [OPTIONS]
cert() {
    key "$1" ec
    printf '%s\n' "$5" > ext
    openssl req -new -key "$1.key" -subj "/CN=$1" -out csr
    openssl x509 -req -in csr -CA "$2.pem" -CAkey "$2.key" \
        -set_serial "$3" -days "$4" -extfile ext -out "$1.pem" $6
}

aia='authorityInfoAccess = OCSP;URI:http://ocsp.example.test/a'
signing='extendedKeyUsage = OCSPSigning'

for name in ca:ec other:ec rsa:rsa ed:ed25519; do
    ca "${name%:*}" "${name#*:}"
done
cert leaf ca 0x1001 7300 "$aia"
cert revoked ca 0x1002 7300 "subjectAltName = DNS:a"
cert absent ca 0x1003 7300 "subjectAltName = DNS:a"
cert leaf_rsa rsa 0x1001 7300 "subjectAltName = DNS:a"
cert leaf_ed ed 0x1001 7300 "subjectAltName = DNS:a"
cert signer ca 0x2001 7300 "$signing"
cert signer_short ca 0x2002 1 "$signing"
cert signer_no_eku ca 0x2003 7300 "subjectAltName = DNS:a"
cert signer_server ca 0x2004 7300 "extendedKeyUsage = serverAuth"
cert signer_usage ca 0x2005 7300 "$signing
keyUsage = keyAgreement"
cert signer_other other 0x2006 7300 "$signing"
cert signer_sha1 ca 0x2007 7300 "$signing" -sha1
cert signer_critical ca 0x2008 7300 "$signing
1.2.3.4 = critical,ASN1:NULL"

# index.txt of openssl ca: what the responder knows
{
    printf 'V\t460101000000Z\t\t1001\tunknown\t/CN=leaf\n'
    printf 'R\t460101000000Z\t250102030405Z,keyCompromise\t1002\tunknown\t'
    printf '/CN=revoked\n'
} > index

# request NAME CA HASH CERT ...
request() {
    out=$1 issuer=$2 hash=$3
    shift 3
    certs=
    for name
    do
        certs="$certs -cert $name.pem"
    done
    openssl ocsp -no_nonce "-$hash" -issuer "$issuer.pem" $certs \
        -reqout "$out.req"
}

# response NAME REQUEST CA SIGNER [OPTIONS]
response() {
    openssl ocsp -index index -CA "$3.pem" -rsigner "$4.pem" \
        -rkey "$4.key" -reqin "$2.req" -respout "$1.resp" $5
}

request leaf ca sha1 leaf
request revoked ca sha1 revoked
request absent ca sha1 absent
request leaf_sha256 ca sha256 leaf
request leaf_md5 ca md5 leaf
request several ca sha1 absent revoked leaf
request leaf_rsa rsa sha1 leaf_rsa
request leaf_ed ed sha1 leaf_ed

week="-ndays 7 -resp_no_certs"
response good leaf ca ca "$week"
response good_key leaf ca ca "$week -resp_key_id"
response good_certs leaf ca ca "-ndays 7"
response good_no_next leaf ca ca "-resp_no_certs"
response good_sha256 leaf_sha256 ca ca "$week"
response good_md5 leaf_md5 ca ca "$week"
response good_sha1 leaf ca ca "$week -rmd sha1"
response good_sha384 leaf ca ca "$week -rmd sha384"
response revoked revoked ca ca "$week"
response absent absent ca ca "$week"
response several several ca ca "$week"
response wrong_key leaf ca other "$week"
for name in signer signer_short signer_no_eku signer_server signer_usage \
    signer_other signer_sha1 signer_critical
do
    response by_$name leaf ca $name "-ndays 7"
done
response by_signer_key leaf ca signer "-ndays 7 -resp_key_id"
response by_signer_bare leaf ca signer "$week"
for hash in sha1 sha256 sha512; do
    response rsa_$hash leaf_rsa rsa rsa "$week -rmd $hash"
done
pss="$week -rsigopt rsa_padding_mode:pss"
response pss_sha256 leaf_rsa rsa rsa "$pss -rmd sha256 \
    -rsigopt rsa_pss_saltlen:32"
response pss_sha384 leaf_rsa rsa rsa "$pss -rmd sha384 \
    -rsigopt rsa_pss_saltlen:20"
response pss_sha1 leaf_rsa rsa rsa "$pss -rmd sha1 \
    -rsigopt rsa_pss_saltlen:20"
response pss_mixed leaf_rsa rsa rsa "$pss -rmd sha256 \
    -rsigopt rsa_pss_saltlen:32 -rsigopt rsa_mgf1_md:sha384"

# The program cannot sign a response with Ed25519: what another key of the
# same name signed gets its algorithm and signature here.
key same ec
openssl req -x509 -new -key same.key -subj "/CN=ed" -days 7300 -out same.pem
response ed25519 leaf_ed ed same "$week"
cat > resign.pl <<'END'
sub tlv {
    my ($tag, $n) = (shift, length $_[0]);
    my $len = $n < 128 ? chr $n : $n < 256 ? "\x81" . chr $n : pack "Cn", 0x82, $n;
    return chr($tag) . $len . $_[0];
}
sub get { local (@ARGV, $/) = @_; return scalar <> }
my $basic = tlv(0x30, get("tbs") . tlv(0x30, "\x06\x03\x2b\x65\x70")
    . tlv(0x03, "\0" . get("signature")));
print tlv(0x30, "\x0a\x01\x00" . tlv(0xa0, tlv(0x30,
    "\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01" . tlv(0x04, $basic))));
END
offset=$(openssl asn1parse -inform DER -in ed25519.resp \
    | sed -n 's/^ *\([0-9]*\):.*OCTET STRING.*/\1/p')
openssl asn1parse -inform DER -in ed25519.resp -strparse "$offset" \
    -noout -out basic
offset=$(openssl asn1parse -inform DER -in basic \
    | sed -n '2s/^ *\([0-9]*\):.*/\1/p')
openssl asn1parse -inform DER -in basic -strparse "$offset" -noout -out tbs
openssl pkeyutl -sign -rawin -inkey ed.key -in tbs -out signature
perl resign.pl > ed25519.resp

# hex NAME FILE
hex() {
    printf '\nstatic const char data_%s[] =\n' "$1"
    od -An -v -tx1 -w36 "$2" | sed 's/ //g; s/.*/    "&"/; $s/$/;/'
}

{
    echo "/*"
    echo " * ocsp_data.h -- certificates and OCSP responses, for test_ocsp.c."
    echo " *"
    echo " * Written by ocsp_data.sh, which says what each of them is."
    echo " */"
    echo
    echo "#define OCSP_NOW $now"
    for name in ca other rsa ed leaf revoked absent leaf_rsa leaf_ed; do
        openssl x509 -in $name.pem -outform DER -out der
        hex cert_$name der
    done
    hex request leaf.req
    for name in *.resp; do
        hex "${name%.resp}" "$name"
    done
} >&3
