"""The texts that only the PDF has, in Indonesian and English."""

TEXTS = {
    "reason nothing yet": {
        "id": "Belum ada eksekusi dalam periode ini.",
        "en": "No run stands in the ledger for this period.",
    },
    "reason compliant": {
        "id": "Semua eksekusi selesai dan terbukti; tidak ada catatan yang melewati retensi.",
        "en": "Every run ended and was proved; no expired record is left.",
    },
    "reason compliant with exceptions": {
        "id": "Ada hal yang perlu ditindaklanjuti; lihat Pengecualian dan kolom Sudah melewati retensi.",
        "en": "Something needs attention: see Exceptions, and the column of expired records.",
    },
    "reason not compliant": {
        "id": "Buku besar tidak terverifikasi, atau ada kegagalan atau penghapusan tak terbukti.",
        "en": "The ledger fails verification, or there is a fault, an unproven deletion or drift.",
    },
    "surveyed": {"id": "Disurvei", "en": "Surveyed"},
    "page": {"id": "Halaman", "en": "Page"},
    "unknown": {"id": "tidak diketahui", "en": "not known"},
    "age": {"id": "Umur terhadap batas", "en": "Age against limit"},
    "age of": {"id": "{age} dari {days} hari", "en": "{age} of {days} days"},
    "legend": {
        "id": "Garis tegak = batas retensi; bagian berarsir di kanannya = melewati batas.",
        "en": "Upright line = limit of retention; hatched beyond it = over the limit.",
    },
    "weekly": {"id": "Aktivitas mingguan", "en": "Weekly activity"},
    "highest": {"id": "Batang tertinggi, catatan dimusnahkan", "en": "Tallest bar, records destroyed"},
    "marked": {"id": "segitiga = ditolak atau terlewat", "en": "triangle = refused or missed"},
    "ledger": {"id": "Buku besar", "en": "Ledger"},
    "state": {"id": "Keadaan", "en": "State"},
    "verified": {"id": "Terverifikasi", "en": "Verified"},
    "root": {"id": "Akar checkpoint", "en": "Checkpoint root"},
    "no root": {"id": "belum ada checkpoint", "en": "no checkpoint yet"},
    "appendix": {"id": "Lampiran", "en": "Appendix"},
    "more exceptions": {
        "id": "{count} pengecualian lain ada di lampiran.",
        "en": "{count} more exceptions stand in the appendix.",
    },
    "more stores": {
        "id": "{count} tempat penyimpanan lain ada di lampiran.",
        "en": "{count} more stores stand in the appendix.",
    },
}
