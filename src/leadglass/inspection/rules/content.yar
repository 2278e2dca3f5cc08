/*
    What no medical image holds. Scanned a block at a time, pixels included: every string here is long or strange
    enough not to turn up in measurement data. No `filesize`, no positions.
*/

rule eicar : test
{
    meta:
        description = "EICAR anti-virus test file"
    strings:
        $a = { 58 35 4F 21 50 25 40 41 50 5B 34 5C 50 5A 58 35 34 28 50 5E 29 37 43 43 29 37 7D 24 45 49 43 41 52 }
    condition:
        $a
}

rule dos_stub
{
    meta:
        description = "The program that every Windows executable begins with"
    strings:
        $a = "This program cannot be run in DOS mode"
        $b = "This program must be run under Win32"
    condition:
        any of them
}

rule windows_loader
{
    meta:
        description = "Names of functions that load and run code in Windows, together"
    strings:
        $a = "VirtualAlloc"
        $b = "GetProcAddress"
        $c = "LoadLibrary"
        $d = "CreateRemoteThread"
        $e = "WriteProcessMemory"
    condition:
        3 of them
}

rule download_cradle
{
    meta:
        description = "A command line that fetches a program and runs it"
    strings:
        $a = "powershell" nocase wide ascii
        $b = "-EncodedCommand" nocase wide ascii
        $c = "DownloadString(" nocase wide ascii
        $d = "FromBase64String(" nocase wide ascii
        $e = "IEX(" nocase wide ascii
        $f = "certutil -urlcache" nocase wide ascii
        $g = "mshta http" nocase wide ascii
        $h = /(curl|wget) -[a-zA-Z ]{1,20}https?:\/\/[^ ]{3,200} ?\| ?(ba)?sh/
    condition:
        ($a and any of ($b, $c, $d, $e)) or any of ($f, $g, $h)
}

rule web_shell
{
    meta:
        description = "Server-side script that runs what it is sent"
    strings:
        $a = "<?php" nocase
        $b = /(eval|assert|system|passthru|shell_exec)\s{0,4}\(\s{0,4}(base64_decode\s{0,4}\(\s{0,4})?\$_(GET|POST|REQUEST|COOKIE)/ nocase
        $c = "Runtime.getRuntime().exec(request.getParameter"
        $d = "<%@ Page Language=" nocase
        $e = "Process.Start(Request" nocase
    condition:
        ($a and $b) or $c or ($d and $e)
}

rule office_macros
{
    meta:
        description = "Macros that run by themselves"
    strings:
        $a = "vbaProject.bin"
        $b = "AutoOpen" wide ascii
        $c = "Document_Open" wide ascii
        $d = "Workbook_Open" wide ascii
        $e = "Attribute VB_Name"
        $f = "Shell(" wide ascii
    condition:
        $a or ($e and any of ($b, $c, $d)) or (any of ($b, $c, $d) and $f)
}

rule shellcode_stager
{
    meta:
        description = "First instructions of the stagers that Metasploit and Cobalt Strike make"
    strings:
        $x86 = { FC E8 82 00 00 00 60 89 E5 31 C0 64 8B 50 30 8B 52 0C 8B 52 14 }
        $x86b = { FC E8 89 00 00 00 60 89 E5 31 D2 64 8B 52 30 8B 52 0C 8B 52 14 }
        $x64 = { FC 48 83 E4 F0 E8 ( C0 | C8 | CC ) 00 00 00 41 51 41 50 52 51 56 48 31 D2 65 48 8B 52 60 }
    condition:
        any of them
}

rule reverse_shell
{
    meta:
        description = "A shell connected to a network address"
    strings:
        $a = /bash -i >& ?\/dev\/tcp\/[0-9A-Za-z.]{3,64}\/[0-9]{1,5}/
        $b = /nc(at)? -e \/bin\/(ba)?sh/
        $c = "socket.socket(socket.AF_INET,socket.SOCK_STREAM);s.connect(("
    condition:
        any of them
}
