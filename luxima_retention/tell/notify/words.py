"""The words of messages, by language."""

from __future__ import annotations

from collections.abc import Mapping

Words = Mapping[str, str]

MONTHS: Mapping[str, tuple[str, ...]] = {
    "id": (
        "Januari",
        "Februari",
        "Maret",
        "April",
        "Mei",
        "Juni",
        "Juli",
        "Agustus",
        "September",
        "Oktober",
        "November",
        "Desember",
    ),
    "en": (
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
}

#: exit code → what is wrong
TITLES: Mapping[int, Words] = {
    1: {"id": "Kesalahan program", "en": "Unexpected fault"},
    2: {"id": "Setelan salah", "en": "Settings are wrong"},
    3: {"id": "Tidak dapat diselesaikan", "en": "Could not be completed"},
    4: {"id": "Penghapusan ditolak pengaman", "en": "A guard refused the deletion"},
    5: {"id": "Proses lain sedang bekerja", "en": "Another run is at work"},
    6: {"id": "Retensi tidak terbukti", "en": "Retention not proven"},
    7: {"id": "Berhenti sebelum selesai", "en": "Stopped before the end"},
    8: {"id": "Masa simpan berbeda", "en": "Retention differs"},
}

#: exit code → the next step
ACTIONS: Mapping[int, Words] = {
    1: {
        "id": "Laporkan dengan log; kebijakan lain tetap berjalan.",
        "en": "Report it with its log; other policies continue.",
    },
    2: {"id": "Perbaiki setelan, lalu jalankan doctor.", "en": "Correct the settings, then run doctor."},
    3: {
        "id": "Periksa sambungan dan hak akses dengan doctor.",
        "en": "Check connections and rights with doctor.",
    },
    4: {
        "id": "Tidak ada yang dihapus. Periksa rencananya dengan --dry-run sebelum menaikkan batas.",
        "en": "Nothing was destroyed. Look at the plan with --dry-run before you raise the limit.",
    },
    5: {"id": "Tunggu sampai selesai.", "en": "Wait until it has ended."},
    6: {"id": "Jangan jalankan ulang. Ikuti runbook.", "en": "Do not run again. Follow the runbook."},
    7: {
        "id": "Beri waktu lebih: --max-runtime atau jadwal lebih sering.",
        "en": "Give it more time: --max-runtime, or more runs.",
    },
    8: {
        "id": "Samakan setelan server dengan kebijakan.",
        "en": "Make the server's settings match the policy.",
    },
}

#: name of a link in ``notify.links`` → its label
LINKS: Mapping[str, Words] = {
    "dashboard": {"id": "Dasbor", "en": "Dashboard"},
    "logs": {"id": "Log", "en": "Logs"},
    "trace": {"id": "Trace", "en": "Trace"},
    "runbook": {"id": "Runbook", "en": "Runbook"},
    "report": {"id": "Laporan", "en": "Report"},
}

WORDS: Mapping[str, Words] = {
    "mark_critical": {"id": "KRITIS", "en": "CRITICAL"},
    "mark_warning": {"id": "PERINGATAN", "en": "WARNING"},
    "mark_info": {"id": "PULIH", "en": "RECOVERED"},
    "mark_removed": {"id": "DITUTUP", "en": "CLOSED"},
    "subject": {
        "id": "[{mark}] Retensi {policy} ({environment}): {title}",
        "en": "[{mark}] Retention of {policy} ({environment}): {title}",
    },
    "subject_dashboards": {
        "id": "[{mark}] Dasbor dan alert ({environment}): {title}",
        "en": "[{mark}] Dashboards and alerts ({environment}): {title}",
    },
    "subject_digest": {
        "id": "[RINGKASAN] Retensi ({environment}): {count} masalah terbuka",
        "en": "[DIGEST] Retention ({environment}): {count} open problems",
    },
    "digest": {"id": "Ringkasan 08.00", "en": "Digest 08:00"},
    "digest_count": {
        "id": "{count} kebijakan belum memenuhi batas:",
        "en": "{count} policies do not meet their limit:",
    },
    "recovered": {"id": "Pulih", "en": "Recovered"},
    "recovered_line": {
        "id": "Run terakhir selesai tanpa masalah; terganggu {span}.",
        "en": "The last run ended without trouble; it was disturbed for {span}.",
    },
    "title_dashboards": {
        "id": "Dasbor atau aturan alert tidak sesuai",
        "en": "Dashboards or alert rules are not as they should be",
    },
    "action_dashboards": {
        "id": "Jalankan observability generate, pasang hasilnya, lalu observability check.",
        "en": "Run observability generate, deploy what it wrote, then observability check.",
    },
    "removed": {"id": "Tidak lagi diawasi", "en": "No longer watched"},
    "removed_line": {
        "id": "Setelan tidak menyebutnya lagi, jadi masalah ini ditutup setelah {span} tanpa perbaikan."
        " Pastikan itu memang disengaja.",
        "en": "The settings do not name it any more, so this trouble is closed after {span} without being"
        " mended. Make sure that this was meant.",
    },
    "unstable": {"id": "Tidak stabil", "en": "Unstable"},
    "unstable_line": {
        "id": "Berubah tiga kali atau lebih dalam 24 jam; selanjutnya paling banyak satu pesan per jam.",
        "en": "It changed three times or more within 24 h; from now on one message an hour at most.",
    },
    "steady": {"id": "Baik saat ini, belum stabil", "en": "Good for now, not yet stable"},
    "escalated_line": {
        "id": "Sudah {span} tanpa perbaikan: sekarang kritis.",
        "en": "Not fixed for {span}: critical from now on.",
    },
    "unexplained": {
        "id": "{count} catatan kedaluwarsa masih ada tanpa penjelasan.",
        "en": "{count} expired records are still there and nothing explains them.",
    },
    "guard": {
        "id": "Pengaman {guard} melihat {observed}; batas {limit}.",
        "en": "The guard {guard} saw {observed}; its limit is {limit}.",
    },
    "plan": {
        "id": "📄 Rencana {digest}…: {items}{of} catatan dari sebelum {day} akan dihapus.",
        "en": "📄 Plan {digest}…: {items}{of} records from before {day} would be destroyed.",
    },
    "of_all": {"id": " dari {count}", "en": " of {count}"},
    "approve": {
        "id": "✍️ Jika itu benar, setujui dengan {command}\nTanpa persetujuan tidak ada yang dihapus.",
        "en": "✍️ If that is right, approve it with {command}\nWithout an approval nothing is destroyed.",
    },
    "proposal_subject": {
        "id": "[USULAN] {target} ({environment}): basis data lebih besar",
        "en": "[PROPOSAL] {target} ({environment}): a larger database",
    },
    "proposal": {
        "id": "🟠 <b>Usulan: basis data lebih besar</b> — {target} · {environment}\n"
        "Dari {before} ke {after}. Alasan: {reason}\n"
        "Perubahan memulai ulang basis data dan menambah biaya. Periksa dulu kueri dan pooler.",
        "en": "🟠 <b>Proposal: a larger database</b> — {target} · {environment}\n"
        "From {before} to {after}. Reason: {reason}\n"
        "The change restarts the database and costs more. Look at queries and the pooler first.",
    },
    "proposal_approve": {
        "id": "✍️ Jika itu benar, setujui dengan {command}, lalu <code>luxima-retention compute apply</code>\n"
        "Tanpa persetujuan tidak ada yang diubah.",
        "en": "✍️ If that is right, approve it with {command},"
        " then <code>luxima-retention compute apply</code>\n"
        "Without an approval nothing is changed.",
    },
    "limit": {"id": "Batas {days} hari", "en": "Limit {days} days"},
    "oldest": {"id": "tertua {day}", "en": "oldest {day}"},
    "expired": {"id": "kedaluwarsa {count}", "en": "expired {count}"},
    "destroyed": {"id": "dihapus {count}", "en": "destroyed {count}"},
    "left": {"id": "tersisa {count}", "en": "left {count}"},
    "held": {"id": "ditahan (hold) {count}", "en": "on hold {count}"},
    "breach_in": {
        "id": "⏳ Batas terlampaui dalam {span} ({time}) jika tidak diperbaiki.",
        "en": "⏳ The limit will be exceeded in {span} ({time}) unless this is fixed.",
    },
    "breached": {"id": "⏳ Batas terlampaui sejak {time}.", "en": "⏳ The limit is exceeded since {time}."},
    "since": {"id": "sejak {span} lalu", "en": "for {span}"},
    "began": {"id": "sejak {time}", "en": "since {time}"},
    "code": {"id": "kode {code}", "en": "code {code}"},
    "more": {"id": "+ {count} lagi", "en": "+ {count} more"},
    "days": {"id": "{days} hari", "en": "{days} days"},
    "hours": {"id": "{hours} j {minutes} m", "en": "{hours} h {minutes} min"},
    "minutes": {"id": "{minutes} m", "en": "{minutes} min"},
    "test": {
        "id": "🧪 <b>Uji coba</b> — pesan uji dari luxima-retention ({environment}). Tidak ada yang salah.",
        "en": "🧪 <b>Test</b> — a test message of luxima-retention ({environment}). Nothing is wrong.",
    },
    "test_subject": {
        "id": "[UJI] luxima-retention ({environment})",
        "en": "[TEST] luxima-retention ({environment})",
    },
    "mended": {"id": "🟢 <b>Pulih</b> {time}", "en": "🟢 <b>Recovered</b> {time}"},
    "report_subject": {
        "id": "Laporan retensi {period} ({environment})",
        "en": "Retention report {period} ({environment})",
    },
    "report_body": {
        "id": "Laporan retensi {period}: {verdict}.",
        "en": "Retention report {period}: {verdict}.",
    },
    "report_large": {
        "id": "Terlalu besar untuk surel ({size} MiB, batas {limit} MiB): {where}",
        "en": "Too large for an e-mail ({size} MiB, limit {limit} MiB): {where}",
    },
}
