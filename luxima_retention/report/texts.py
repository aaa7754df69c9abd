"""Every text of the report, in Indonesian and English. Machine values stay English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from luxima_retention.core.clock import parse_iso

#: the zone of every time that people read
WIB = ZoneInfo("Asia/Jakarta")

TEXTS = {
    "title": {"id": "Laporan kepatuhan retensi", "en": "Retention compliance report"},
    # --- the verdict, and why -------------------------------------------------------------------------
    "nothing yet": {"id": "BELUM ADA DATA", "en": "NOTHING YET"},
    "compliant": {"id": "PATUH", "en": "COMPLIANT"},
    "compliant with exceptions": {"id": "PATUH DENGAN PENGECUALIAN", "en": "COMPLIANT WITH EXCEPTIONS"},
    "not compliant": {"id": "TIDAK PATUH", "en": "NOT COMPLIANT"},
    "why nothing yet": {
        "id": "Sampai akhir periode buku besar tidak mencatat satu eksekusi pun;"
        " tidak ada yang dapat dinilai.",
        "en": "No run stands in the ledger before the end of the period, so there is nothing to judge.",
    },
    "not over": {
        "id": "Periode ini belum berakhir: isinya sampai saat survei.",
        "en": "The period is not over: this is what it held until the survey.",
    },
    "why compliant": {
        "id": "Setiap penyimpanan disurvei, tidak ada catatan yang melewati tenggat, dan setiap eksekusi"
        " selesai.",
        "en": "Every store was surveyed, no record is overdue, every run completed.",
    },
    "why compliant with exceptions": {
        "id": "Tidak ada catatan yang diketahui melewati tenggat, tetapi {count} hal perlu diperhatikan.",
        "en": "No record is known to be overdue, but {count} matters need attention.",
    },
    "why not compliant": {
        "id": "{failed} dari {count} pengecualian melanggar kebijakan. Yang pertama: {first}",
        "en": "{failed} of {count} exceptions break the policy. The first: {first}",
    },
    "why broken": {
        "id": "Buku besar tidak dapat dipercaya; angka di bawah ini tidak terbukti.",
        "en": "The ledger cannot be trusted; the figures below are not proved.",
    },
    "oldest of all": {
        "id": "Catatan tertua dibandingkan dengan batasnya: {where}, {of}.",
        "en": "Oldest record against its limit: {where}, {of}.",
    },
    "broken": {"id": "Buku besar tidak dapat dipercaya", "en": "The ledger cannot be trusted"},
    # --- page one ---------------------------------------------------------------------------------------
    "period": {"id": "Periode", "en": "Period"},
    "until": {"id": "sampai sebelum", "en": "until before"},
    "surveyed": {"id": "Disurvei dan dibuat", "en": "Surveyed and written"},
    "summary": {"id": "Ringkasan", "en": "Summary"},
    "destroyed": {"id": "Dimusnahkan", "en": "Destroyed"},
    "destroyed note": {"id": "catatan musnah, {runs} eksekusi", "en": "records, gone in {runs} runs"},
    "archived note": {"id": "; {count} ke arsip sampai {day}", "en": "; {count} to the archive until {day}"},
    "removed": {"id": "Dikeluarkan", "en": "Removed"},
    "overdue": {"id": "Lewat tenggat", "en": "Overdue"},
    "overdue note": {
        "id": "sasaran 0; {expired} kedaluwarsa menurut survei",
        "en": "target 0; the survey found {expired} expired",
    },
    "expired": {"id": "Kedaluwarsa", "en": "Expired"},
    "held": {"id": "Penahanan hukum", "en": "On legal hold"},
    "held note": {
        "id": "catatan kedaluwarsa yang ditahan; {holds} penahanan tercatat",
        "en": "expired records that are kept; {holds} holds recorded",
    },
    "unknown note": {"id": "; {count} penyimpanan tidak diketahui", "en": "; {count} stores not known"},
    "ledger": {"id": "Buku besar", "en": "Ledger"},
    "verified": {"id": "Terverifikasi", "en": "Verified"},
    "not verified": {"id": "Tidak terverifikasi", "en": "Not verified"},
    "entries note": {
        "id": "entri: {entries}; salinan di luar: {anchors}",
        "en": "entries: {entries}; anchors: {anchors}",
    },
    "entries": {"id": "Entri buku besar", "en": "Ledger entries"},
    "matrix": {"id": "Matriks retensi", "en": "Retention matrix"},
    "matrix caption": {
        "id": "Setiap penyimpanan: batas, catatan tertua yang masih ada, dan yang masih harus dimusnahkan",
        "en": "Each store: its limit, the oldest record still present, and what has yet to go",
    },
    "bar": {
        "id": "Umur catatan tertua {age} hari, batas {limit} hari",
        "en": "Age of the oldest record {age} days, limit {limit} days",
    },
    "bar legend": {
        "id": "Batang: umur catatan tertua; garis tegak: batas. Bergaris miring: melampaui batas.",
        "en": "Bar: age of the oldest record; upright line: the limit. Hatched: beyond the limit.",
    },
    "of days": {"id": "{age} dari {limit} hari", "en": "{age} of {limit} days"},
    "limit days": {"id": "batas {limit} hari", "en": "limit {limit} days"},
    "activity": {"id": "Kegiatan mingguan", "en": "Weekly activity"},
    "activity note": {
        "id": "Catatan yang keluar, musnah atau ke arsip, per minggu ISO (WIB); skala tiap baris sendiri."
        " Kotak putus-putus: terlewat; penuh: ditolak.",
        "en": "Records that left, destroyed or archived, by ISO week (WIB); each row has its own scale."
        " Dashed box: missed; full box: refused.",
    },
    "activity image": {
        "id": "{policy}: {destroyed} catatan dikeluarkan dalam {weeks} minggu, paling banyak {most} seminggu;"
        " {runs} eksekusi, {missed} terlewat, {refused} ditolak",
        "en": "{policy}: {destroyed} records removed in {weeks} weeks, at most {most} a week;"
        " {runs} runs, {missed} missed, {refused} refused",
    },
    "activity sum": {
        "id": "{destroyed} dikeluarkan, {runs} eksekusi, {missed} terlewat, {refused} ditolak",
        "en": "{destroyed} removed, {runs} runs, {missed} missed, {refused} refused",
    },
    "no activity": {
        "id": "Tidak ada eksekusi dalam periode ini.",
        "en": "No run took place in this period.",
    },
    "exceptions": {"id": "Pengecualian", "en": "Exceptions"},
    "no exceptions": {"id": "Tidak ada pengecualian.", "en": "There are no exceptions."},
    "more exceptions": {
        "id": "{count} pengecualian lagi tercantum dalam Lampiran A.",
        "en": "There are {count} more: see Appendix A.",
    },
    "breaks": {"id": "melanggar", "en": "breaks the policy"},
    "attention": {"id": "perhatian", "en": "attention"},
    "root": {"id": "Akar pohon (SHA-256, RFC 6962)", "en": "Tree root (SHA-256, RFC 6962)"},
    "head": {"id": "Entri terakhir (SHA-256)", "en": "Last entry (SHA-256)"},
    "signed": {"id": "Ditandatangani", "en": "Signed"},
    "signed note": {
        "id": "{signed} dari {entries} entri, {checkpoints} titik periksa; kunci {pinned}",
        "en": "{signed} of {entries} entries, {checkpoints} checkpoints; the key is {pinned}",
    },
    "unsigned": {"id": "Tidak ada tanda tangan yang diperiksa", "en": "No signature was checked"},
    "pinned": {"id": "ditetapkan dalam pengaturan", "en": "pinned in the settings"},
    "not pinned": {"id": "tidak ditetapkan di luar buku besar", "en": "pinned nowhere beyond the ledger"},
    "anchors": {"id": "Salinan di luar basis data", "en": "Anchors"},
    "no anchors": {
        "id": "Tidak ada: pemilik basis data dapat menulis ulang semuanya",
        "en": "None: whoever owns the database could rewrite it all",
    },
    "verify": {"id": "Periksa sendiri dengan", "en": "Verify it yourself with"},
    "rule note": {
        "id": "{count} benturan dengan aturan umum: lihat Lampiran J.",
        "en": "{count} clashes with well-known rules: see Appendix J.",
    },
    # --- states of a store ----------------------------------------------------------------------------
    "state": {"id": "Keadaan", "en": "State"},
    "state within": {"id": "dalam batas", "en": "within its limit"},
    "state waiting": {"id": "menunggu eksekusi berikutnya", "en": "waiting for the next run"},
    "state overdue": {"id": "lewat tenggat", "en": "overdue"},
    "state unknown": {"id": "kedaluwarsa, tenggat tidak diketahui", "en": "expired, due date unknown"},
    "state kept": {"id": "melebihi batas, ada alasannya", "en": "older, with a reason"},
    "state empty": {"id": "tanpa catatan bertanggal", "en": "no dated record"},
    "state drift": {"id": "menyimpang dari kebijakan", "en": "not as the policy says"},
    "state failed": {"id": "survei gagal", "en": "survey failed"},
    "state not_configured": {"id": "belum dikonfigurasi", "en": "not configured"},
    "state not_applicable": {"id": "tidak berlaku", "en": "not applicable"},
    # --- columns --------------------------------------------------------------------------------------
    "policy": {"id": "Kebijakan", "en": "Policy"},
    "target": {"id": "Penyimpanan", "en": "Store"},
    "store": {"id": "Jenis log dan penyimpanan", "en": "Kind of log and store"},
    "retention_days": {"id": "Batas (hari)", "en": "Limit (days)"},
    "oldest": {"id": "Catatan tertua", "en": "Oldest record"},
    "age": {"id": "Umur terhadap batas", "en": "Age against limit"},
    "locked": {"id": "Terkunci", "en": "Locked"},
    "undated": {"id": "Tanpa tanggal", "en": "Undated"},
    "future": {"id": "Bertanggal masa depan", "en": "Future"},
    "pending": {"id": "Menunggu pemusnahan", "en": "Awaiting destruction"},
    "others": {"id": "Tidak disentuh", "en": "Left alone"},
    "due": {"id": "paling lambat {when}", "en": "due by {when}"},
    "seq": {"id": "No. entri", "en": "Entry"},
    "at": {"id": "Waktu", "en": "Time"},
    "kind": {"id": "Jenis", "en": "Kind"},
    "outcome": {"id": "Hasil", "en": "Outcome"},
    "exception": {"id": "Apa yang terjadi", "en": "What happened"},
    "weight": {"id": "Bobot", "en": "Weight"},
    "first seen": {"id": "Pertama", "en": "First"},
    "last seen": {"id": "Terakhir", "en": "Last"},
    "seqs": {"id": "Entri buku besar", "en": "Entries of the ledger"},
    "week": {"id": "Minggu", "en": "Week"},
    "runs": {"id": "Eksekusi", "en": "Runs"},
    "missed": {"id": "Terlewat", "en": "Missed"},
    "refused": {"id": "Ditolak", "en": "Refused"},
    "cutoff": {"id": "Batas waktu", "en": "Cutoff"},
    "planned": {"id": "Direncanakan", "en": "Planned"},
    "count": {"id": "Jumlah", "en": "Count"},
    "left": {"id": "Tersisa", "en": "Left"},
    "method": {"id": "Cara", "en": "Method"},
    "span": {"id": "Catatan dari … sampai", "en": "Records from … to"},
    "archive": {"id": "SHA-256 arsip", "en": "SHA-256 of the archive"},
    "hash": {"id": "SHA-256 entri", "en": "SHA-256 of the entry"},
    "balance": {"id": "Neraca dan pembuktian", "en": "Balance and proof"},
    "range": {"id": "Rentang catatan", "en": "Range of records"},
    "guard": {"id": "Pengaman", "en": "Guard"},
    "observed": {"id": "Teramati, atau sebelumnya", "en": "Observed, or before"},
    "limit or after": {"id": "Batas, atau sesudahnya", "en": "Limit, or after"},
    "override": {"id": "Opsi yang diberikan", "en": "Named with"},
    "hold": {"id": "Penahanan", "en": "Hold"},
    "names": {"id": "Ditahan menurut", "en": "Holds by"},
    "everything": {"id": "seluruhnya", "en": "everything"},
    "placed": {"id": "Dipasang", "en": "Placed"},
    "released": {"id": "Dilepas", "en": "Released"},
    "in force": {"id": "masih berlaku", "en": "in force"},
    "manifest": {"id": "Manifes arsip", "en": "Manifest"},
    "parts": {"id": "Bagian", "en": "Parts"},
    "bytes": {"id": "Ukuran (bita)", "en": "Bytes"},
    "keep_until": {"id": "Disimpan sampai", "en": "Kept until"},
    "measured": {"id": "Pengukuran", "en": "Measurements"},
    "largest": {"id": "Selisih terbesar (detik)", "en": "Largest skew (seconds)"},
    "survey skew": {"id": "Pada survei ini (detik)", "en": "In this survey (seconds)"},
    "population": {"id": "Semua catatan", "en": "All records"},
    "evidence": {"id": "Bukti dari penyimpanan", "en": "Evidence of the store"},
    "rule": {"id": "Aturan", "en": "Rule"},
    "cites": {"id": "Sumber", "en": "Source"},
    "asks": {"id": "Diminta (hari)", "en": "Asks for (days)"},
    "kept days": {"id": "Disimpan dengan arsip (hari)", "en": "Kept with archive (days)"},
    "compared": {"id": "Perbandingan", "en": "Comparison"},
    "clash": {"id": "✗ berbenturan", "en": "✗ clashes"},
    "no clash": {"id": "✓ terpenuhi", "en": "✓ met"},
    "no number": {"id": "tanpa angka", "en": "no number"},
    "query": {"id": "SHA-256 kueri", "en": "SHA-256 of the query"},
    "method destroyed": {"id": "dimusnahkan", "en": "destroyed"},
    "method archived": {"id": "dipindahkan ke arsip", "en": "moved to the archive"},
    "method rotation": {"id": "menurut aturan rotasi", "en": "by the rule of rotation"},
    # --- what a balance is made of --------------------------------------------------------------------
    "balance planned": {"id": "direncanakan", "en": "planned"},
    "balance bytes": {"id": "bita", "en": "bytes"},
    "balance held": {"id": "ditahan", "en": "held"},
    "balance locked": {"id": "terkunci", "en": "locked"},
    "balance failures": {"id": "kegagalan", "en": "failures"},
    "balance left": {"id": "tersisa", "en": "left"},
    "balance unexplained": {"id": "tanpa penjelasan", "en": "unexplained"},
    "balance oldest_left": {"id": "tertua yang tersisa", "en": "oldest left"},
    "balance gone_by": {"id": "musnah paling lambat", "en": "gone by"},
    "balance plan": {"id": "rencana", "en": "plan"},
    # --- kinds of runs --------------------------------------------------------------------------------
    "kind run.completed": {"id": "selesai", "en": "completed"},
    "kind run.failed": {"id": "gagal tanpa rencana", "en": "failed without a plan"},
    "kind run.refused": {"id": "ditolak pengaman", "en": "refused by a guard"},
    "kind run.checked": {"id": "diperiksa", "en": "checked"},
    "kind run.reconciled": {"id": "terhenti, lalu ditutup", "en": "killed, then closed"},
    "kind run.started": {"id": "dimulai, tidak selesai", "en": "started, not completed"},
    "kind slot.missed": {"id": "terlewat", "en": "missed"},
    "kind sweep.completed": {"id": "penyisiran selesai", "en": "sweep completed"},
    "kind sweep.missed": {"id": "penyisiran terlewat", "en": "sweep missed"},
    "kind rotation": {"id": "rotasi log", "en": "log rotation"},
    "kind never": {"id": "belum pernah dijalankan", "en": "never ran"},
    "kind resumed": {"id": "selesai setelah terhenti", "en": "completed after it was killed"},
    "kind refused": {"id": "ditolak", "en": "refused"},
    "kind override": {"id": "batas diberikan lewat opsi atau setelan", "en": "by option or setting"},
    "kind approval": {"id": "persetujuan", "en": "approval"},
    "kind floor": {"id": "batas bawah diubah", "en": "floor changed"},
    "kind retention": {"id": "masa retensi diubah", "en": "retention changed"},
    "kind migrated": {"id": "basis data disiapkan", "en": "database set up"},
    "kind policy.applied": {"id": "kebijakan diterapkan", "en": "policy applied"},
    "kind key.created": {"id": "kunci dibuat", "en": "key created"},
    "kind key.rotated": {"id": "kunci diganti", "en": "key replaced"},
    "kind archive.verified": {"id": "ditulis dan dibaca ulang", "en": "written and read back"},
    "kind archive.restored": {"id": "uji pemulihan", "en": "restore test"},
    "kind archive.expired": {"id": "dimusnahkan", "en": "destroyed"},
    "kind archive.announced": {
        "id": "pemusnahan diumumkan, tanpa hasil",
        "en": "destruction announced, no result",
    },
    # --- exceptions -----------------------------------------------------------------------------------
    "exception not-configured": {
        "id": "belum ada penyimpanan yang dikonfigurasi, sehingga kebijakan ini tidak terbukti.",
        "en": "no store is configured, so this policy is not proved.",
    },
    "exception survey": {
        "id": "survei tidak selesai.",
        "en": "the survey did not complete.",
    },
    "exception would-refuse": {
        "id": "eksekusi berikutnya akan ditolak.",
        "en": "the next run would be refused.",
    },
    "exception not-yet-provable": {
        "id": "belum dapat dibuktikan.",
        "en": "it cannot be proved yet.",
    },
    "exception overdue": {
        "id": "{count} catatan melewati tenggat pemusnahan.",
        "en": "{count} records are past the day on which they were due to be destroyed.",
    },
    "exception expired": {
        "id": "{count} catatan kedaluwarsa masih ada; apakah tenggatnya lewat tidak diketahui.",
        "en": "{count} expired records are still there; whether they are overdue is not known.",
    },
    "exception refused": {
        "id": "{count} eksekusi ditolak oleh pengaman {detail}; tidak ada yang dimusnahkan.",
        "en": "runs refused by guard {detail}: {count}; nothing was destroyed.",
    },
    "exception missed": {
        "id": "{count} eksekusi terlewat.",
        "en": "runs that did not take place: {count}.",
    },
    "exception sweep": {
        "id": "{count} penyisiran mingguan terlewat.",
        "en": "weekly sweeps that did not take place: {count}.",
    },
    "exception killed": {
        "id": "{count} eksekusi dimulai dan belum dinyatakan selesai pada akhir periode.",
        "en": "runs that began and had not said how they ended by the end of the period: {count}.",
    },
    "exception reconciled": {
        "id": "{count} eksekusi terhenti dan ditutup oleh eksekusi berikutnya.",
        "en": "runs that were killed and closed by the next one: {count}.",
    },
    "exception resumed": {
        "id": "{count} eksekusi terhenti dan kemudian dilanjutkan.",
        "en": "runs that were killed and then resumed: {count}.",
    },
    "exception unknown": {
        "id": "hasil satu kelompok (batch) atau lebih tidak tercatat: hingga {count} catatan lagi"
        " mungkin telah"
        " dimusnahkan.",
        "en": "the result of a batch or more was never recorded: up to {count} more records may be gone.",
    },
    "exception archive": {
        "id": "pemusnahan arsip diumumkan, tetapi hasilnya tidak tercatat: {detail}.",
        "en": "the destruction of an archive was announced and its result never recorded: {detail}.",
    },
    "exception deleted_externally": {
        "id": "perkiraan: {count} catatan dihapus oleh pihak lain, bukan oleh sistem ini ({detail}).",
        "en": "estimate: {count} records were deleted by somebody else, not by this program ({detail}).",
    },
    "exception deletions_unknown": {
        "id": "tidak diketahui apakah pihak lain menghapus catatan ({detail}).",
        "en": "whether somebody else deleted records is not known ({detail}).",
    },
    "exception hold_review": {
        "id": "peninjauan penahanan hukum {detail} sudah lewat waktu.",
        "en": "the review of legal hold {detail} is overdue.",
    },
    "exception retention": {
        "id": "masa retensi diubah: {detail}.",
        "en": "the retention was changed: {detail}.",
    },
    "exception never": {
        "id": "kebijakan ini belum pernah dijalankan.",
        "en": "this policy has never been run.",
    },
    "exception ended": {
        "id": "{count} eksekusi berakhir dengan hasil: {detail}.",
        "en": "runs that ended as {detail}: {count}.",
    },
    "exception failed": {
        "id": "{count} eksekusi gagal sebelum rencananya ada; tidak ada yang dimusnahkan.",
        "en": "runs that failed before they had a plan: {count}; nothing was destroyed.",
    },
    "exception drift": {
        "id": "penyimpanan tidak memenuhi kebijakan pada {count} pemeriksaan.",
        "en": "the store did not keep to the policy; checks that found it: {count}.",
    },
    "exception review": {
        "id": "hari peninjauan kebijakan telah lewat: {detail}.",
        "en": "the day of the policy's review has passed: {detail}.",
    },
    "message": {"id": "Pesan program", "en": "Message of the program"},
    "since when": {"id": "sejak {since}", "en": "since {since}"},
    "found when": {"id": "ditemukan {at}", "en": "found {at}"},
    "from to when": {"id": "{since} sampai {at}", "en": "{since} to {at}"},
    "settle": {"id": "Siapa menyelesaikan, dan bagaimana", "en": "Who settles it, and how"},
    # --- outcomes -------------------------------------------------------------------------------------
    "outcome done": {"id": "selesai", "en": "done"},
    "outcome nothing_to_do": {"id": "tidak ada yang perlu dimusnahkan", "en": "nothing to do"},
    "outcome pending": {"id": "menunggu pemusnahan", "en": "pending"},
    "outcome compliant": {"id": "patuh", "en": "compliant"},
    "outcome not_yet_provable": {"id": "belum dapat dibuktikan", "en": "not yet provable"},
    "outcome checked": {"id": "diperiksa", "en": "checked"},
    "outcome not_configured": {"id": "belum dikonfigurasi", "en": "not configured"},
    "outcome not_applicable": {"id": "tidak berlaku", "en": "not applicable"},
    "outcome declined": {"id": "tidak disetujui", "en": "declined"},
    "outcome paused": {"id": "dijeda oleh penahanan", "en": "paused by a hold"},
    "outcome refused": {"id": "ditolak pengaman", "en": "refused"},
    "outcome failed": {"id": "gagal", "en": "failed"},
    "outcome locked": {"id": "dikunci eksekusi lain", "en": "locked by another run"},
    "outcome verification_failed": {"id": "pembuktian gagal", "en": "verification failed"},
    "outcome stopped": {"id": "dihentikan", "en": "stopped"},
    "outcome backlog": {"id": "masih ada sisa", "en": "backlog"},
    "outcome drift": {"id": "menyimpang dari kebijakan", "en": "drift"},
    "outcome fault": {"id": "kesalahan program", "en": "fault"},
    "outcome not completed": {"id": "tidak selesai", "en": "not completed"},
    "outcome reconciled": {"id": "ditutup", "en": "closed"},
    "outcome rotated": {"id": "dirotasi", "en": "rotated"},
    "outcome removed": {"id": "dihapus menurut aturan rotasi", "en": "removed by the rule of rotation"},
    "outcome would_delete": {"id": "akan memusnahkan", "en": "would delete"},
    "outcome would_refuse": {"id": "akan ditolak", "en": "would refuse"},
    "exception approval": {
        "id": "batas untuk satu eksekusi diberikan atau disetujui: {detail}; {count} kali.",
        "en": "a limit was named or approved for the run: {detail}; times: {count}.",
    },
    "exception floor": {
        "id": "batas bawah umur catatan dalam basis data diubah: {detail} hari.",
        "en": "the floor of ages in the database was changed: {detail} days.",
    },
    # --- rules ----------------------------------------------------------------------------------------
    "rule pci-history": {
        "id": "Riwayat log audit sedikitnya 12 bulan, bila sistem termasuk lingkup data kartu.",
        "en": "At least 12 months of audit log history, where the system is in scope for card data.",
    },
    "rule pci-at-hand": {
        "id": "Tiga bulan terbaru segera tersedia (tiga bulan paling lama 92 hari), bila dalam lingkup.",
        "en": "The newest three months at hand (three calendar months are 92 days at most), where in scope.",
    },
    "rule pmse-trade": {
        "id": "Data perdagangan selain transaksi keuangan sedikitnya 5 tahun, bila hanya dicatat di sini.",
        "en": "Data of the trade other than payments at least 5 years, where this log is their only record.",
    },
    "rule pmse-money": {
        "id": "Data transaksi keuangan sedikitnya 10 tahun, bila hanya dicatat di sini.",
        "en": "Data of financial transactions at least 10 years, where this log is their only record.",
    },
    "rule cnil-logs": {
        "id": "Enam bulan sampai satu tahun sebagai rentang lazim (Prancis).",
        "en": "Six months to one year as the normal span (France).",
    },
    "rule pdp-end": {
        "id": "Pemrosesan berakhir dengan masa retensi, lalu data dimusnahkan; tidak menyebut jumlah hari."
        " Buktinya adalah tidak adanya catatan yang lewat tenggat.",
        "en": "Processing ends with the retention period, then data is destroyed; names no number of days."
        " What shows it is that no record is overdue.",
    },
    "rule pse-show": {
        "id": "Catatan dapat ditampilkan kembali secara utuh selama masa menurut hukum; tanpa jumlah hari."
        " Buktinya adalah uji pemulihan arsip.",
        "en": "Records can be shown again, whole, for the period that the law sets; names no number of days."
        " What shows it is a restore test of the archive.",
    },
    # --- appendix -------------------------------------------------------------------------------------
    "appendix": {"id": "Lampiran", "en": "Appendix"},
    "a exceptions": {"id": "A. Semua pengecualian", "en": "A. Every exception"},
    "b weeks": {"id": "B. Kegiatan per minggu", "en": "B. Activity by week"},
    "c runs": {"id": "C. Populasi eksekusi", "en": "C. Population of runs"},
    "d records": {"id": "D. Catatan pemusnahan", "en": "D. Destruction records"},
    "e guards": {"id": "E. Pengaman, persetujuan, dan perubahan", "en": "E. Guards, overrides and changes"},
    "f holds": {"id": "F. Penahanan hukum", "en": "F. Legal holds"},
    "g archives": {"id": "G. Arsip dan uji pemulihan", "en": "G. Archives and restore tests"},
    "h clocks": {"id": "H. Jam", "en": "H. Clocks"},
    "i queries": {"id": "I. Kueri, parameter, dan jumlah", "en": "I. Queries, parameters and counts"},
    "j rules": {"id": "J. Matriks dan aturan umum", "en": "J. The matrix and well-known rules"},
    "k controls": {
        "id": "K. Pemetaan ke kendali dan pasal",
        "en": "K. Mapping to controls and articles",
    },
    "l limits": {"id": "L. Batas pembuktian", "en": "L. Limits of what is proved"},
    "runs note": {
        "id": "Setiap eksekusi yang tercatat dalam buku besar, termasuk yang terlewat dan yang tidak"
        " selesai.",
        "en": "Every run that the ledger records, those missed and those not completed included.",
    },
    "records note": {
        "id": "Jumlah adalah yang dikeluarkan dari penyimpanan dalam periode ini; neraca adalah milik"
        " eksekusi seutuhnya.",
        "en": "Counts are what left the store in this period; the balance is that of the run as a whole.",
    },
    "queries note": {
        "id": "Teks setiap kueri SQL, yang nilai hash SHA-256-nya tercantum di sini, ada dalam report.json"
        " (queries, evidence, query); parameternya adalah batas waktu dan penahanan yang berlaku.",
        "en": "The text of each SQL query, whose SHA-256 stands here, is in report.json (queries, evidence,"
        " query); its parameters are the cutoff and the holds in force.",
    },
    "guards note": {
        "id": "Nilai teramati dan batas dari pengaman yang lulus ada pada setiap eksekusi dalam report.json.",
        "en": "What the guards that passed observed, and their limits, stands with each run in report.json.",
    },
    "rules note": {
        "id": "Dihitung dari jumlah hari yang berlaku. Apakah suatu aturan mengikat perusahaan ini harus"
        " diputuskan oleh penasihat hukumnya.",
        "en": "Computed from the days in force. Whether a rule binds this company is for its lawyers to say.",
    },
    "controls note": {
        "id": "Di mana bukti untuk setiap kendali tercantum dalam laporan ini. Terpenuhi atau tidaknya suatu"
        " kendali diputuskan oleh auditor.",
        "en": "Where this report has evidence for each control. Whether a control is met is for the auditor"
        " to"
        " say.",
    },
    "control asks": {"id": "Yang diminta", "en": "What it asks for"},
    "control found": {"id": "Bukti dalam laporan ini", "en": "Evidence in this report"},
    "attached rows": {
        "id": "Tercetak {shown} dari {count} baris; seluruhnya ada dalam berkas {file} yang terlampir pada"
        " PDF"
        " ini, SHA-256 {sha256}",
        "en": "{shown} of {count} rows are printed; all of them are in the file {file} attached to this PDF,"
        " SHA-256 {sha256}",
    },
    "none": {"id": "Tidak ada", "en": "None"},
    "not told": {"id": "tidak diketahui", "en": "not known"},
    "table": {"id": "Tabel: {name}", "en": "Table: {name}"},
    "shown": {"id": "ditunjukkan oleh program", "en": "shown by the program"},
    "by hand": {"id": "diisi penandatangan", "en": "for the signers to fill in"},
    "signatures": {"id": "Tanda tangan", "en": "Signatures"},
    # --- the PDF only ---------------------------------------------------------------------------------
    "page": {"id": "Halaman", "en": "Page"},
    "zone": {
        "id": "Waktu dalam tabel: WIB, dan UTC (Z) dalam kurung; WIB = UTC + 7 jam.",
        "en": "Times in tables: WIB, and UTC (Z) in brackets; WIB = UTC + 7 hours.",
    },
    "more stores": {
        "id": "{count} tempat penyimpanan lain ada di lampiran.",
        "en": "{count} more stores stand in the appendix.",
    },
    "program": {"id": "Dibuat oleh", "en": "Made by"},
}

LIMITS = (
    {
        "id": "Pemusnahan ini bersifat logis: cadangan, WAL, replika, versi objek lama, dan arsip mengikuti"
        " jadwalnya masing-masing.",
        "en": "Destruction is logical: backups, WAL, replicas, older object versions and archives follow"
        " schedules of their own.",
    },
    {
        "id": "Survei menunjukkan keadaan pada saat laporan dibuat, bukan sepanjang periode.",
        "en": "The survey shows the stores as the report was written, not throughout the period.",
    },
    {
        "id": "Buku besar menunjukkan perubahan oleh siapa pun yang tidak menguasai kunci dan semua salinan"
        " di luar basis data; tanpa salinan itu, pemilik basis data dapat menulis ulang semuanya.",
        "en": "The ledger shows changes by anybody who does not hold the key and every anchor; without an"
        " anchor, whoever owns the database could rewrite it all.",
    },
    {
        "id": "Catatan yang dibuat dengan tanggal palsu, atau tanpa tanggal, tidak dapat dikenali umurnya.",
        "en": "The age of records that were written with a false date, or with none, cannot be told.",
    },
    {
        "id": "Hanya penyimpanan dalam matriks yang diperiksa; salinan di tempat lain tidak diketahui.",
        "en": "Only the stores of the matrix were looked at; copies elsewhere are unknown to the program.",
    },
    {
        "id": "Eksekusi yang melewati akhir periode tampak dalam kedua periode, masing-masing dengan jumlah"
        " yang dimusnahkannya di situ.",
        "en": "A run that passes the end of the period shows in both periods, in each with what it destroyed"
        " there.",
    },
    {
        "id": "Laporan ini bukan nasihat hukum.",
        "en": "This report is not legal advice.",
    },
)


def text(key: str, lang: str, **values: str) -> str:
    """A text in ``lang``, with its values."""
    found = TEXTS[key][lang]
    return found.format(**values) if values else found


def number(value: int | None, lang: str) -> str:
    """``1.234.567`` in Indonesian, ``1,234,567`` in English; a dash for what is not known."""
    if value is None:
        return "-"
    return f"{value:,}".replace(",", ".") if lang == "id" else f"{value:,}"


def valued(value: object, lang: str) -> str:
    """A value of a balance or of evidence: integers in the form of the language."""
    return number(value, lang) if isinstance(value, int) else str(value)


def called(name: str, lang: str) -> str:
    """The name of a value in words, where it is one of ours; else it is the store's own and stays."""
    return text(f"balance {name}", lang) if f"balance {name}" in TEXTS else name


def place(item: Mapping[str, Any]) -> str:
    """Policy and store that an exception is about."""
    return " ".join(filter(None, (item["policy"], item["target"])))


def happened(item: Mapping[str, Any], lang: str, detail: str) -> str:
    """What an exception says, with its detail as given and without the program's own sentence."""
    return text(f"exception {item['code']}", lang, count=number(item["count"], lang), detail=detail)


def detailed(item: Mapping[str, Any], lang: str) -> str:
    """The detail of an exception, in words where they are ours."""
    detail = str(item["detail"])
    return text(f"outcome {detail}", lang) if item["code"] == "ended" and detail else detail


def sentence(item: Mapping[str, Any], lang: str) -> str:
    """An exception as sentences that begin with its policy and store and end with the program's own."""
    said = f" {text('message', lang)}: {item['said']}" if item["said"] else ""
    return f"{place(item)}: {happened(item, lang, detailed(item, lang))}{said}"


def local_day(instant: str) -> str:
    """The day in Jakarta of an instant, ISO 8601."""
    return f"{parse_iso(instant).astimezone(WIB):%Y-%m-%d}"
