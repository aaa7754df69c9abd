"""Every text of the minutes, in Indonesian and English."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages; values that need no translation stand in both."""

    id: str
    en: str


TEXTS = {
    "title": Text("Berita Acara Pemusnahan", "Minutes of destruction"),
    "opening": Text(
        "Pada hari ini, ………………, tanggal ……………… bulan ……………… tahun ………………, bertempat di {place}, yang"
        " bertanda tangan di bawah ini menerangkan bahwa catatan elektronik yang tercantum dalam daftar"
        " pertelaan terlampir telah dimusnahkan, atau dipindahkan ke arsip bila disebut demikian, atas dasar"
        " yang disebut dalam berita acara ini. Isian yang kosong dilengkapi dengan tulisan tangan.",
        "On this day, ………………, the ……………… of the month of ……………… in the year ………………, at {place}, the"
        " undersigned state that the electronic records in the attached itemised list were destroyed, or"
        " moved"
        " to the archive where the list says so, on the basis that these minutes name. Empty lines are filled"
        " in by hand.",
    ),
    "blank": Text("………………………………", "………………………………"),
    "nothing": Text(
        "Nihil: dalam periode ini tidak ada catatan yang dimusnahkan atau dipindahkan ke arsip. Tidak ada"
        " yang"
        " perlu ditandatangani.",
        "Nil: no record was destroyed or moved to the archive in this period. There is nothing to sign.",
    ),
    "broken": Text(
        "JANGAN DITANDATANGANI: buku besar tidak dapat dipercaya, sehingga isi berita acara ini tidak"
        " terbukti.",
        "DO NOT SIGN: the ledger cannot be trusted, so what these minutes say is not proved.",
    ),
    "ledger verified": Text(
        "Terverifikasi; setiap baris daftar pertelaan menyebut nilai hash SHA-256 entrinya.",
        "Verified; each row of the itemised list names the SHA-256 of its entry.",
    ),
    "ledger broken": Text("TIDAK DAPAT DIPERCAYA", "CANNOT BE TRUSTED"),
    "summary": Text("Ringkasan per tempat penyimpanan", "Summary by store"),
    "items": Text("Lampiran: daftar pertelaan", "Attachment: itemised list"),
    "policy": Text("Kebijakan", "Policy"),
    "target": Text("Tempat penyimpanan", "Store"),
    "basis": Text("Dasar", "Basis"),
    "rotation rule": Text(
        "Aturan rotasi log (keep, max_age_days)", "Rule of log rotation (keep, max_age_days)"
    ),
    "rotation": Text(
        "Kecuali: {count} berkas log yang telah dirotasi dimusnahkan menurut aturan rotasi, yaitu jumlah atau"
        " umur berkas, dan bukan menurut batas waktu.",
        "Except: {count} rotated log files were destroyed by the rule of rotation, the number or age of"
        " files, and not by the cutoff.",
    ),
    "schedule": Text("Jadwal retensi: {days} hari", "Retention schedule: {days} days"),
    "archive period": Text("Masa simpan arsip berakhir", "The archive's own period has ended"),
    "archive": Text("Arsip", "Archive"),
    "what": Text("Keterangan", "What became of them"),
    "gone": Text("Dimusnahkan", "Destroyed"),
    "moved": Text("Dipindahkan ke arsip, disimpan sampai {day}", "Moved to the archive, kept until {day}"),
    "moved item": Text("Ke arsip sampai {day}", "To the archive until {day}"),
    "moved undated": Text("Dipindahkan ke arsip", "Moved to the archive"),
    "ended": Text("Arsip dimusnahkan", "Archive destroyed"),
    "copies": Text("Salinan yang tersisa", "Copies that remain"),
    "copy": Text("Salinan", "Copy"),
    "copy gone": Text("Hilang paling lambat", "Gone by"),
    "copy stated": Text(
        "{day} (menurut pengaturan; tidak diperiksa)", "{day} (as the settings state; not examined)"
    ),
    "copy unknown": Text("tidak diperiksa", "not examined"),
    "records": Text("Rentang waktu catatan (WIB)", "Period of records (WIB)"),
    "before": Text("sebelum", "before"),
    "count": Text("Jumlah", "Count"),
    "method": Text("Cara", "Method"),
    "seq": Text("Entri", "Entry"),
    "at": Text("Waktu (WIB)", "Time (WIB)"),
    "cutoff": Text("Batas waktu (WIB)", "Cutoff (WIB)"),
    "hash": Text("SHA-256 entri buku besar", "SHA-256 of the ledger entry"),
    "how": Text(
        "Pelaksanaan: pemusnahan dijalankan otomatis oleh luxima-retention menurut rencana yang dihitung"
        " sebelum tindakan pertama; hanya catatan yang lebih tua daripada batas waktu yang dimusnahkan, dan"
        " catatan dalam penahanan hukum dilewati.",
        "How: luxima-retention destroyed automatically, by a plan computed before the first act; only records"
        " older than the cutoff went, and records on legal hold were passed over.",
    ),
    "residual": Text(
        "Sisa salinan: pemusnahan ini dilakukan dengan penghapusan logis. Salinan dalam tabel di atas"
        " mengikuti"
        " jadwalnya masing-masing; akhir masa simpan arsip dicatat dalam berita acara bulan itu.",
        "Residual copies: the records were deleted logically. The copies in the table above follow"
        " schedules of"
        " their own; the end of an archive stands in the minutes of that month.",
    ),
    "proved": Text(
        "Pembuktian: setiap baris daftar pertelaan adalah satu entri dalam buku besar yang entri-entrinya"
        " dirangkai dengan nilai hash; keutuhannya diperiksa dengan luxima-retention ledger verify.",
        "Proof: each row of the itemised list is an entry of a hash-chained ledger; verify it with"
        " luxima-retention ledger verify.",
    ),
    "unknown": Text(
        "Jumlah belum pasti: untuk sebanyak-banyaknya {count} catatan lagi, pemusnahannya diumumkan dalam"
        " buku besar tetapi hasilnya tidak tercatat. Catatan tersebut tidak termasuk dalam daftar pertelaan.",
        "Count not certain: of up to {count} more records the destruction was announced in the ledger and the"
        " result never recorded. They are not in the itemised list.",
    ),
    "limits": Text(
        "Batas: tanda tangan buku besar membuktikan keutuhan data dan bukan tanda tangan elektronik"
        " tersertifikasi. Berita acara ini bukan nasihat hukum.",
        "Limits: the ledger's signature proves integrity; it is not a certified electronic signature."
        " These minutes are not legal advice.",
    ),
    "name": Text("Nama jelas", "Clear name"),
    "position": Text("Jabatan", "Position"),
    "signature": Text("Tanda tangan", "Signature"),
    "place and date": Text("Tempat, tanggal", "Place, date"),
}

#: the lines of the form; the program fills in those that it knows
FACTS = {
    "number": Text("Nomor", "Number"),
    "company": Text("Perusahaan atau badan", "Company or body"),
    "controller": Text("Pengendali data pribadi, bila ada", "Controller of personal data, if any"),
    "retention schedule": Text(
        "Jadwal retensi arsip (nomor dan tanggal)", "Retention schedule (number and date)"
    ),
    "place": Text("Tempat pemusnahan (lokasi sistem)", "Place of destruction (location of the system)"),
    "destroyed": Text("Hari, tanggal, bulan, tahun pelaksanaan", "Day, date, month, year carried out"),
    "period": Text("Periode laporan", "Period of the report"),
    "drawn": Text("Disusun pada", "Drawn up at"),
    "officer": Text("Dilaksanakan oleh", "Carried out by"),
    "total": Text("Dimusnahkan", "Destroyed"),
    "moved": Text("Dipindahkan ke arsip", "Moved to the archive"),
    "entries": Text("Entri dalam daftar pertelaan", "Entries in the itemised list"),
    "ledger": Text("Buku besar", "Ledger"),
    "approval": Text("Persetujuan (nomor dan tanggal)", "Approval (number and date)"),
}

#: the condition, and its evidence
CONDITIONS = {
    "period": (
        Text(
            "Jangka waktu simpan menurut jadwal retensi telah berakhir.",
            "The period of the retention schedule has ended.",
        ),
        Text(
            "Ditunjukkan: rencana setiap pelaksanaan hanya memuat catatan sebelum batas waktu.",
            "Shown: the plan of each run holds only records from before the cutoff.",
        ),
    ),
    "use": (
        Text("Tidak lagi mempunyai nilai guna bagi perusahaan.", "They are of no more use to the company."),
        Text("Dinyatakan oleh pejabat dan saksi.", "For officer and witnesses to state."),
    ),
    "nation": (
        Text("Tidak mempunyai nilai guna bagi kepentingan nasional.", "They are of no use to the nation."),
        Text("Dinyatakan oleh pejabat dan saksi.", "For officer and witnesses to state."),
    ),
    "law": (
        Text(
            "Tidak ada peraturan perundang-undangan yang melarang pemusnahannya.",
            "No law forbids their destruction.",
        ),
        Text("Dinyatakan oleh unit hukum.", "For the legal unit to state."),
    ),
    "case": (
        Text(
            "Tidak terkait perkara pidana atau perdata yang masih dalam proses.",
            "They have no link to a pending criminal or civil case.",
        ),
        Text(
            "Penahanan hukum (legal hold) diperiksa pada setiap penghapusan; jumlah catatan yang ditahan saat"
            " berita acara disusun: {held}. Kelengkapan daftar penahanan dinyatakan oleh unit hukum.",
            "Legal holds are checked in each deletion; records held as these minutes were drawn up: {held}."
            " For the legal unit to state that the holds are complete.",
        ),
    ),
}

#: the law that the conditions stand in
LAW = Text("PP 87/1999 pasal 10 ayat (1)", "PP 87/1999, article 10(1)")

#: the same for a public body. Source: UU 43/2009 on archives, article 51, and PP 28/2012; guideline:
#: Peraturan Kepala ANRI 25/2012. A lawyer should confirm them for the body that signs.
PUBLIC_LAW = Text("UU 43/2009 pasal 51 dan PP 28/2012", "UU 43/2009, article 51, and PP 28/2012")
PUBLIC_CONDITIONS = {
    "use": (Text("Tidak memiliki nilai guna.", "They are of no use any more."), CONDITIONS["use"][1]),
    "period": (
        Text(
            "Telah habis retensinya dan berketerangan dimusnahkan berdasarkan jadwal retensi arsip.",
            "Their period has ended, and the retention schedule says that they are destroyed.",
        ),
        CONDITIONS["period"][1],
    ),
    "law": CONDITIONS["law"],
    "case": (
        Text(
            "Tidak berkaitan dengan penyelesaian proses suatu perkara.",
            "They have no link to a case that is being settled.",
        ),
        CONDITIONS["case"][1],
    ),
}

METHOD = Text("Penghapusan logis", "Logical deletion")

SIGNERS = (
    Text("Pejabat yang melaksanakan pemusnahan", "Officer who carried out the destruction"),
    Text("Saksi 1", "Witness 1"),
    Text("Saksi 2", "Witness 2"),
    Text("Unit hukum", "Legal unit"),
    Text("Unit pengawasan", "Supervisory unit"),
    Text("Penanggung jawab (pimpinan perusahaan)", "Person responsible (head of the company)"),
)

#: who signs for a public body
PUBLIC_SIGNERS = (
    Text("Pimpinan unit kearsipan", "Head of the records unit"),
    Text("Pimpinan unit pengolah", "Head of the unit whose records they were"),
    Text("Saksi dari unit hukum", "Witness of the legal unit"),
    Text("Saksi dari unit pengawasan internal", "Witness of the internal audit unit"),
)

#: kind of a policy → what one record of it is
UNITS = {
    "table": Text("baris", "rows"),
    "supabase": Text("baris", "rows"),
    "logfiles": Text("berkas", "files"),
    "loki": Text("objek", "objects"),
}
UNIT = Text("catatan", "records")

#: kinds of copies that outlive the records, by their names in the settings
COPIES = {
    "replicas": Text("Replika", "Replicas"),
    "wal": Text("WAL dan jendela pemulihan (PITR)", "WAL and recovery window (PITR)"),
    "backups": Text("Cadangan", "Backups"),
    "drains": Text("Pengiriman log ke pihak lain", "Log drains"),
    "object_versions": Text("Versi objek lama", "Older object versions"),
}

#: kind of a policy → the copies that it may have
COPIES_OF = {
    "table": ("replicas", "wal", "backups"),
    "supabase": ("replicas", "wal", "backups", "drains"),
    "loki": ("replicas", "object_versions", "backups", "drains"),
    "logfiles": ("backups", "drains"),
}

OUTCOMES = {
    "days": (
        Text("Senin", "Monday"),
        Text("Selasa", "Tuesday"),
        Text("Rabu", "Wednesday"),
        Text("Kamis", "Thursday"),
        Text("Jumat", "Friday"),
        Text("Sabtu", "Saturday"),
        Text("Minggu", "Sunday"),
    ),
    "months": (
        Text("Januari", "January"),
        Text("Februari", "February"),
        Text("Maret", "March"),
        Text("April", "April"),
        Text("Mei", "May"),
        Text("Juni", "June"),
        Text("Juli", "July"),
        Text("Agustus", "August"),
        Text("September", "September"),
        Text("Oktober", "October"),
        Text("November", "November"),
        Text("Desember", "December"),
    ),
}
