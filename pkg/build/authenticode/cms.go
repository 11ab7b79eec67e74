package authenticode

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"slices"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers of RFC 5652, RFC 4055 and of Authenticode.
var (
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidRSASHA256     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidIndirectData  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4}  // SPC_INDIRECT_DATA_OBJID
	oidOpusInfo      = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 12} // SPC_SP_OPUS_INFO_OBJID
	oidPEImage       = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 15} // SPC_PE_IMAGE_DATAOBJ
)

// obsolete is the file name that every Authenticode signature holds.
const obsolete = "<<<Obsolete>>>"

// context is the constructed context-specific tag [n].
func context(n tag.Tag) tag.Tag { return n.ContextSpecific().Constructed() }

// algorithm writes an AlgorithmIdentifier.
func algorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier) {
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1NULL()
	})
}

// indirectData is the content of a SpcIndirectDataContent, without its own
// header: that is what the message digest is made of.
func indirectData(hash [sha256.Size]byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidPEImage)
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(tag.BIT_STRING, func(b *cryptobyte.Builder) { b.AddUint8(0) }) // no flags
			b.AddASN1(context(0), func(b *cryptobyte.Builder) {
				b.AddASN1(context(2), func(b *cryptobyte.Builder) {
					b.AddASN1(tag.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) {
						for _, c := range utf16.Encode([]rune(obsolete)) {
							b.AddUint16(c)
						}
					})
				})
			})
		})
	})
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		algorithm(b, oidSHA256)
		b.AddASN1OctetString(hash[:])
	})
	return b.Bytes()
}

// attribute is an Attribute with one value.
func attribute(oid asn1.ObjectIdentifier, value func(b *cryptobyte.Builder)) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(tag.SET, value)
	})
	return b.Bytes()
}

// attributes are the signed ones, in DER's order. There is no signing time: it
// would make each signature another one, and firmware does not look at it.
func attributes(content []byte) ([]byte, error) {
	digest := sha256.Sum256(content)
	var list [][]byte
	for _, a := range []struct {
		oid   asn1.ObjectIdentifier
		value func(b *cryptobyte.Builder)
	}{
		{oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidIndirectData) }},
		{oidOpusInfo, func(b *cryptobyte.Builder) { b.AddASN1(tag.SEQUENCE, func(*cryptobyte.Builder) {}) }},
		{oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest[:]) }},
	} {
		text, err := attribute(a.oid, a.value)
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	slices.SortFunc(list, slices.Compare)
	return slices.Concat(list...), nil
}

// attributeSet gives the attributes the tag under which they are signed (RFC
// 5652, 5.4).
func attributeSet(attrs []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag.SET, func(b *cryptobyte.Builder) { b.AddBytes(attrs) })
	return b.Bytes()
}

// sign makes the PKCS #7 SignedData of an image's hash.
func (s *signer) sign(hash [sha256.Size]byte) ([]byte, error) {
	content, err := indirectData(hash)
	if err != nil {
		return nil, err
	}
	attrs, err := attributes(content)
	if err != nil {
		return nil, err
	}
	set, err := attributeSet(attrs)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(set)
	signature, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, digest[:])
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return s.wrap(content, attrs, signature)
}

// wrap lays the parts out. Firmware looks for the digest's algorithm at a fixed
// place, which it has in DER with lengths of two bytes: those of 256 and more,
// and a certificate makes every signature longer than that.
func (s *signer) wrap(content, attrs, signature []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(context(0), func(b *cryptobyte.Builder) {
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				b.AddASN1(tag.SET, func(b *cryptobyte.Builder) { algorithm(b, oidSHA256) })
				b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidIndirectData)
					b.AddASN1(context(0), func(b *cryptobyte.Builder) {
						b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(content) })
					})
				})
				b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddBytes(s.cert.Raw) })
				b.AddASN1(tag.SET, func(b *cryptobyte.Builder) { s.info(b, attrs, signature) })
			})
		})
	})
	return b.Bytes()
}

// info writes the SignerInfo.
func (s *signer) info(b *cryptobyte.Builder, attrs, signature []byte) {
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(s.cert.RawIssuer)
			b.AddASN1BigInt(s.cert.SerialNumber)
		})
		algorithm(b, oidSHA256)
		b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddBytes(attrs) })
		algorithm(b, oidRSA)
		b.AddASN1OctetString(signature)
	})
}
