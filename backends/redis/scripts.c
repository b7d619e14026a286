/* scripts.c - what runs inside the server; see scripts.h for the invariants, keys.h for the layout
 */
#include "scripts.h"

#include <stddef.h>

#include "keys.h"

_Static_assert(RD_HEAD_REVISION == 32 && RD_HEAD_FRONT == 43 && RD_LEASE_STATE == 0 &&
                   RD_LEASE_GRIP == 105 && RD_LEASE_SIZE == 121,
               "offsets in the texts below");

/* Compilers need not take literals of more than 4095 bytes; those that are met do. */
#pragma GCC diagnostic ignored "-Woverlength-strings"

/*
 * Points in time and fences are seconds S and microseconds U of it: a number of Lua is exact up to
 * 2^53 only.  BIN: 8 bytes.  DEC: digits.
 */
#define LUA_BIN                                                                                    \
    "local function bin(s,u)\n"                                                                    \
    "  local x=math.floor(s/65536)*1000000\n"                                                      \
    "  local y=(x%65536)*65536+(s%65536)*1000000+u\n"                                              \
    "  return struct.pack('>I4I4',math.floor(x/65536)+math.floor(y/4294967296),y%4294967296)\n"    \
    "end\n"
#define LUA_DEC                                                                                    \
    "local function dec(s,u)\n"                                                                    \
    "  if tonumber(s)==0 then return string.format('%d',u) end\n"                                  \
    "  return string.format('%.0f%06d',s,u)\n"                                                     \
    "end\n"

/*
 * commit: appends by holders, then groups of expectations and writes
 *
 * KEYS     counter of fences, a name that never exists, ticket,
 *          then, if there are appends or its grip (keys.h) is remembered: the lease,
 *          then, if there are appends: the heads that are looked at, the journals,
 *          then the keys of the groups in the order of their use
 * ARGV     appends n, groups, fences wanted, keys from the lease to the journals; with a lease:
 *          its grip, as it is remembered
 *          appends: an array of MessagePack: how many records there are, for each; then, for each
 *                   head that is looked at, which append it is, and how it begins (its front,
 *                   keys.h, or as much as its fence and holder); how many records each adds (3
 *                   digits; nothing: one each); then the records: elements of the journal (keys.h)
 *                   without their time
 *          a group: from, to, flags (1 grows, 2 brings work), keys, arguments that follow,
 *                   expectations, writes, then those
 *          an expectation: one key and
 *              r offset bytes place   the bytes there; their first 8 are fence PLACE if not ""
 *              n                      no such key
 *              l length               of a list
 *              z members              of a sorted set
 *              h field bytes          of a hash
 *              H field                not in the hash
 *          a write: one key and  command, n, patches, n arguments, patches times three numbers:
 *              which argument, where in it, which fence
 *          Commands of our own: ATT n adds n to the attention of a lease; GRP x is its grip from
 *          now on; CLS enters a class in the list of classes (a second key counts what was
 *          entered); TRH renames a key, if it is there, to a second one and enters that in a
 *          third, for purge.
 *
 * Answer   time; 1 or 0 for each append, and if it is 1 and its front was given in part, what was
 *          missing; a letter per group: 1 written, 0 not so, F full, C not understood; the fence
 *          before the first; of the grip: nothing, as there is no such lease, or it is dead; = it
 *          was the one remembered, else #; then, unless it still is, what it is now
 *
 * An append whose head is not looked at is permitted by the grip.  It is a write whose answer tells
 * the length that there was: one redis.call for each, where to look first would be two.  What went
 * behind others than it was to follow is taken back.
 *
 * A full server refuses a script its first write only.  So it is asked at once whether it would,
 * and groups that let go of things, or delete, go on.
 */
static const char commit_text[] = LUA_BIN LUA_DEC
    "local K,A=KEYS,ARGV\n"
    "local call,pcal,sub=redis.call,redis.pcall,string.sub\n"
    "local t=call('TIME')\n"
    "local sec,usec=tonumber(t[1]),tonumber(t[2])\n"
    "local now=dec(sec,usec)\n"
    "local n,ng,nf=tonumber(A[1]),tonumber(A[2]),tonumber(A[3])\n"
    "local full=false\n"
    "if ng>0 then\n"
    "  local p=pcal('SETRANGE',K[1],0,'')\n"
    "  if type(p)=='table' and p.err then\n"
    "    if not string.find(p.err,'OOM',1,true) then return p end\n"
    "    full=true\n"
    "  end\n"
    "  call('UNLINK',K[2])\n"
    "end\n"
    "local hot={}\n"
    "local kp=tonumber(A[4])+4\n"
    "local a=5\n"
    "local live,grip,same=false,'',false\n"
    "if kp>4 then\n"
    "  local l=pcal('GET',K[4])\n"
    "  live=type(l)=='string' and sub(l,1,1)=='L'\n"
    "  if live then grip=sub(l,106,121) end\n"
    "  same=#grip==16 and grip==A[5]\n"
    "  a=6\n"
    "end\n"
    "if n>0 then\n"
    "  local G,M=cmsgpack.unpack(A[6]),A[7]\n"
    "  local many=M~=''\n"
    "  local wrote=false\n"
    "  a=8\n"
    "  local asked=kp-5-n\n"
    "  local seen={}\n"
    "  if asked>0 then\n"
    "    local rows=call('MGET',unpack(K,5,4+asked))\n"
    "    for j=1,asked do\n"
    "      local h,g=rows[j],G[n+2*j]\n"
    "      local o='0'\n"
    "      if h and sub(h,1,#g)==g then o=#g==43 and '1' or '1'..sub(h,33,43) end\n"
    "      seen[G[n+2*j-1]]=o\n"
    "    end\n"
    "  end\n"
    "  local may=live and not full\n"
    "  local by_grip=same and '1' or '0'\n"
    "  local T=bin(sec,usec)\n"
    "  for i=1,n do\n"
    "    local o=may and (seen[i] or by_grip) or '0'\n"
    "    local m=many and tonumber(sub(M,i*3-2,i*3)) or 1\n"
    "    hot[i]='0'\n"
    "    if o~='0' then\n"
    "      local k=K[4+asked+i]\n"
    "      local len\n"
    "      if m==1 then\n"
    "        len=pcal('RPUSH',k,T..A[a])\n"
    "      else\n"
    "        local c={}\n"
    "        for j=1,m do c[j]=T..A[a+j-1] end\n"
    "        len=pcal('RPUSH',k,unpack(c))\n"
    "      end\n"
    "      if len==G[i]+m then\n"
    "        wrote=true\n"
    "        hot[i]=o\n"
    "      elseif type(len)=='number' then\n"
    "        call('RPOP',k,m)\n"
    "        wrote=true\n"
    "      elseif not wrote and string.sub(len.err,1,9)~='WRONGTYPE' then\n"
    "        return len\n"
    "      end\n"
    "    end\n"
    "    a=a+m\n"
    "  end\n"
    "end\n"
    "if ng==0 then\n"
    "  return {now,table.concat(hot),'','0',live and (same and '=' or '#'..grip) or ''}\n"
    "end\n"
    "local base,last='0','0'\n"
    "local fence={}\n"
    "if nf>0 then\n"
    "  base=call('GET',K[1]) or '0'\n"
    "  local s,u=tonumber(sub(base,1,-7)) or 0,tonumber(sub(base,-6))\n"
    "  if s<sec or s==sec and u<usec-1 then\n"
    "    s,u=sec,usec-1\n"
    "    if u<0 then s,u=s-1,999999 end\n"
    "    base=dec(s,u)\n"
    "  end\n"
    "  for i=0,nf-1 do\n"
    "    u=u+1\n"
    "    if u>999999 then s,u=s+1,0 end\n"
    "    fence[i]=bin(s,u)\n"
    "  end\n"
    "  last=dec(s,u)\n"
    "end\n"
    "local probe={RPUSH='LLEN',ZADD='ZCARD',ZREM='ZCARD',HSET='HLEN',SETRANGE='STRLEN',"
    "ATT='STRLEN',GRP='STRLEN',CLS='ZCARD'}\n"
    "local more={CLS=1,TRH=2}\n"
    "local fit={}\n"
    "local function bad(x) return type(x)=='table' and x.err end\n"
    "local function before(x,y) return #x<#y or #x==#y and x<y end\n"
    "local function expect(op,k)\n"
    "  local got\n"
    "  if op=='r' then\n"
    "    local want=A[a+2]\n"
    "    if A[a+3]~='' then want=fence[tonumber(A[a+3])]..sub(want,9) end\n"
    "    local o=tonumber(A[a+1])\n"
    "    got=pcal('GETRANGE',k,o,o+#want-1)\n"
    "    a=a+4\n"
    "    if got==want then return '1' end\n"
    "  elseif op=='l' then\n"
    "    got=pcal('LLEN',k)\n"
    "    a=a+2\n"
    "    if got==tonumber(A[a-1]) then return '1' end\n"
    "  elseif op=='z' then\n"
    "    got=pcal('ZCARD',k)\n"
    "    a=a+2\n"
    "    if got==tonumber(A[a-1]) then return '1' end\n"
    "  elseif op=='n' then\n"
    "    got=pcal('EXISTS',k)\n"
    "    a=a+1\n"
    "    if got==0 then return '1' end\n"
    "  elseif op=='h' then\n"
    "    got=pcal('HGET',k,A[a+1])\n"
    "    a=a+3\n"
    "    if got==A[a-1] then return '1' end\n"
    "  else\n"
    "    got=pcal('HEXISTS',k,A[a+1])\n"
    "    a=a+2\n"
    "    if got==0 then return '1' end\n"
    "  end\n"
    "  return bad(got) and 'C' or '0'\n"
    "end\n"
    "local function fits(cmd,k)\n"
    "  local p=probe[cmd]\n"
    "  if not p or fit[p..k] then return true end\n"
    "  if bad(pcal(p,k)) then return false end\n"
    "  fit[p..k]=true\n"
    "  return true\n"
    "end\n"
    "local function write(k)\n"
    "  local cmd,m,np=A[a],tonumber(A[a+1]),tonumber(A[a+2])\n"
    "  local c={cmd,k}\n"
    "  for j=1,m do c[j+2]=A[a+2+j] end\n"
    "  a=a+3+m\n"
    "  for j=1,np do\n"
    "    local i,o,f=tonumber(A[a])+2,tonumber(A[a+1]),tonumber(A[a+2])\n"
    "    c[i]=sub(c[i],1,o)..fence[f]..sub(c[i],o+9)\n"
    "    a=a+3\n"
    "  end\n"
    "  if cmd=='ATT' then\n"
    "    local s=call('GETRANGE',k,1,8)\n"
    "    if #s==8 then\n"
    "      call('SETRANGE',k,1,struct.pack('>I8',struct.unpack('>I8',s)+c[3]))\n"
    "    end\n"
    "  elseif cmd=='GRP' then\n"
    "    if call('STRLEN',k)>=121 then call('SETRANGE',k,105,c[3]) end\n"
    "  elseif cmd=='CLS' then\n"
    "    if call('ZADD',k,0,c[3])==1 then call('INCR',K[kp]) end\n"
    "    kp=kp+1\n"
    "  elseif cmd=='TRH' then\n"
    "    if call('EXISTS',k)==1 then\n"
    "      call('RENAME',k,K[kp])\n"
    "      call('ZADD',K[kp+1],0,c[3])\n"
    "    end\n"
    "    kp=kp+2\n"
    "  else\n"
    "    call(unpack(c))\n"
    "  end\n"
    "end\n"
    "local out={}\n"
    "local used,work=false,false\n"
    "for g=1,ng do\n"
    "  local from,to,flags=A[a],A[a+1],A[a+2]\n"
    "  local kend,aend=kp+tonumber(A[a+3]),a+7+tonumber(A[a+4])\n"
    "  local ne,nw=tonumber(A[a+5]),tonumber(A[a+6])\n"
    "  a=a+7\n"
    "  local r='1'\n"
    "  if before(now,from) or not before(now,to) then r='0'\n"
    "  elseif full and (flags=='1' or flags=='3') then r='F' end\n"
    "  while r=='1' and ne>0 do\n"
    "    r=expect(A[a],K[kp])\n"
    "    kp=kp+1\n"
    "    ne=ne-1\n"
    "  end\n"
    "  if r=='1' then\n"
    "    local b,k=a,kp\n"
    "    for i=1,nw do\n"
    "      if not fits(A[b],K[k]) then r='C' end\n"
    "      k=k+1+(more[A[b]] or 0)\n"
    "      b=b+3+tonumber(A[b+1])+3*tonumber(A[b+2])\n"
    "    end\n"
    "  end\n"
    "  if r=='1' then\n"
    "    for i=1,nw do\n"
    "      local k=K[kp]\n"
    "      kp=kp+1\n"
    "      write(k)\n"
    "    end\n"
    "    if nw>0 then used=true end\n"
    "    if flags=='2' or flags=='3' then work=true end\n"
    "  end\n"
    "  kp,a=kend,aend\n"
    "  out[g]=r\n"
    "end\n"
    "if used and nf>0 then call('SET',K[1],last) end\n"
    "if work then pcal('PUBLISH',K[3],call('INCR',K[3])) end\n"
    "local held=''\n"
    "if live then\n"
    "  held=call('GETRANGE',K[4],105,120)\n"
    "  if same then held=held==grip and '=' or '='..held else held='#'..held end\n"
    "end\n"
    "return {now,table.concat(hot),table.concat(out),base,held}\n";

/*
 * append: appends by holders, one record each, all permitted by the grip
 *
 * What `commit' does of these, and nothing that it needs for anything else: with one step at a time
 * that is half of what the script costs.
 *
 * KEYS     lease, journals
 * ARGV     its grip; an array of MessagePack: how many records there are, for each; the records
 * Answer   0: it has another grip, or is dead; else time, then the numbers of those that did not
 *          follow, with a comma before each
 */
static const char append_text[] =
    LUA_BIN "local K,A,call=KEYS,ARGV,redis.call\n"
            "local l=redis.pcall('GET',K[1])\n"
            "if type(l)~='string' or string.sub(l,1,1)~='L' then return 0 end\n"
            "if string.sub(l,106,121)~=A[1] then return 0 end\n"
            "local t=call('TIME')\n"
            "local s,u=tonumber(t[1]),tonumber(t[2])\n"
            "local T\n"
            "if s<9007199254 then T=struct.pack('>I8',s*1000000+u) else T=bin(s,u) end\n"
            "local now=string.format('%s%06d',t[1],u)\n"
            "local G=cmsgpack.unpack(A[2])\n"
            "for i=1,#G do\n"
            "  local len=redis.pcall('RPUSH',K[i+1],T..A[i+2])\n"
            "  if len~=G[i]+1 then\n"
            "    if type(len)=='number' then call('RPOP',K[i+1])\n"
            "    elseif i==1 and string.sub(len.err,1,9)~='WRONGTYPE' then return len end\n"
            "    now=now..','..i\n"
            "  end\n"
            "end\n"
            "return now\n";

/*
 * look: rows as they are, at one moment
 *
 * KEYS     of the rows in their order
 * ARGV     one letter per row, with its arguments:
 *              r          head and journal (two keys): the head, then the number of records
 *              s          a string
 *              h field    of a hash
 *              x field    is it in the hash?
 *              q number   the front of that record (keys.h)
 *              c command, n, n arguments: a command that reads
 * Answer   time, then what was asked for; nil where there is nothing, -1 where the key is of
 *          another kind
 */
static const char look_text[] = LUA_DEC "local K,A=KEYS,ARGV\n"
                                        "local pcal=redis.pcall\n"
                                        "local t=redis.call('TIME')\n"
                                        "local out={dec(t[1],tonumber(t[2]))}\n"
                                        "local n,k,a=1,1,1\n"
                                        "local function put(x)\n"
                                        "  if type(x)=='table' and x.err then x=-1 end\n"
                                        "  n=n+1\n"
                                        "  out[n]=x\n"
                                        "end\n"
                                        "while A[a] do\n"
                                        "  local op=A[a]\n"
                                        "  a=a+1\n"
                                        "  if op=='r' then\n"
                                        "    put(pcal('GET',K[k]))\n"
                                        "    k=k+1\n"
                                        "    put(pcal('LLEN',K[k]))\n"
                                        "  elseif op=='s' then\n"
                                        "    put(pcal('GET',K[k]))\n"
                                        "  elseif op=='h' then\n"
                                        "    put(pcal('HGET',K[k],A[a]))\n"
                                        "    a=a+1\n"
                                        "  elseif op=='x' then\n"
                                        "    put(pcal('HEXISTS',K[k],A[a]))\n"
                                        "    a=a+1\n"
                                        "  elseif op=='c' then\n"
                                        "    local c={A[a],K[k]}\n"
                                        "    local m=tonumber(A[a+1])\n"
                                        "    for j=1,m do c[j+2]=A[a+1+j] end\n"
                                        "    put(pcal(unpack(c)))\n"
                                        "    a=a+2+m\n"
                                        "  else\n"
                                        "    local e=pcal('LINDEX',K[k],tonumber(A[a])-1)\n"
                                        "    if type(e)=='string' then e=string.sub(e,1,33) end\n"
                                        "    put(e)\n"
                                        "    a=a+1\n"
                                        "  end\n"
                                        "  k=k+1\n"
                                        "end\n"
                                        "return out\n";

/*
 * extend: a sign of life of a lease, also past its deadline, unless it is dead
 *
 * KEYS     lease, a name that never exists
 * ARGV     hint and incarnation (24 bytes), 1: the deadline too
 * Answer   time and the lease as it now is; nil: dead or gone
 *
 * A sign of life is taken from a server that is full as well.
 */
static const char extend_text[] =
    LUA_BIN LUA_DEC "local t=redis.call('TIME')\n"
                    "local s,u=tonumber(t[1]),tonumber(t[2])\n"
                    "local now=dec(s,u)\n"
                    "local l=redis.call('GET',KEYS[1])\n"
                    "if not l or string.sub(l,1,1)~='L' then return {now,false} end\n"
                    "redis.call('UNLINK',KEYS[2])\n"
                    "if ARGV[2]=='1' then\n"
                    "  local ttl=struct.unpack('>I8',string.sub(l,10,17))\n"
                    "  local v=u+ttl%1000000\n"
                    "  local w=s+math.floor(ttl/1000000)\n"
                    "  if v>999999 then w,v=w+1,v-1000000 end\n"
                    "  redis.call('SETRANGE',KEYS[1],17,bin(w,v)..bin(s,u)..ARGV[1])\n"
                    "else\n"
                    "  redis.call('SETRANGE',KEYS[1],33,ARGV[1])\n"
                    "end\n"
                    "return {now,redis.call('GET',KEYS[1])}\n";

/*
 * ring: the ticket moves, and who listens hears of it
 *
 * KEYS     ticket, which is the name of a channel as well
 */
static const char ring_text[] = "redis.pcall('PUBLISH',KEYS[1],redis.call('INCR',KEYS[1]))\n"
                                "return 1\n";

/*
 * read: a run with what belongs to it, at one moment
 *
 * KEYS     head, snapshot, journal
 * ARGV     1: the snapshot too; first record wanted (0: the one after the snapshot's; -1: none),
 * how many at most, about how many bytes Answer   time, head, number of records, snapshot (or nil),
 * number of the first record given, the records
 */
static const char read_text[] = LUA_DEC
    "local t=redis.call('TIME')\n"
    "local h=redis.call('GET',KEYS[1])\n"
    "local len=redis.call('LLEN',KEYS[3])\n"
    "local first,limit,room=tonumber(ARGV[2]),tonumber(ARGV[3]),tonumber(ARGV[4])\n"
    "local s=false\n"
    "local recs={}\n"
    "if h and ARGV[1]=='1' then s=redis.call('GET',KEYS[2]) end\n"
    "if h and first==0 and #h>=68 then first=struct.unpack('>I8',string.sub(h,61,68))+1 end\n"
    "if h and first>0 then\n"
    "  local at,n,bytes=first,0,0\n"
    "  while at<=len and n<limit and (n==0 or bytes<room) do\n"
    "    local m=limit-n\n"
    "    if m>64 then m=64 end\n"
    "    local part=redis.call('LRANGE',KEYS[3],at-1,at+m-2)\n"
    "    if #part==0 then break end\n"
    "    for i=1,#part do\n"
    "      if n>0 and bytes>=room then break end\n"
    "      n=n+1\n"
    "      recs[n]=part[i]\n"
    "      bytes=bytes+#part[i]-33\n"
    "    end\n"
    "    at=at+#part\n"
    "  end\n"
    "end\n"
    "return {dec(t[1],tonumber(t[2])),h,len,s,first,recs}\n";

/*
 * seen: since when is this server process at work?
 *
 * KEYS     what is known of it
 * ARGV     the incarnation, 8 bytes
 * Answer   the same with the time it was first seen
 */
static const char seen_text[] = LUA_BIN "local s=redis.call('GET',KEYS[1])\n"
                                        "if s and string.sub(s,1,8)==ARGV[1] then return s end\n"
                                        "local t=redis.call('TIME')\n"
                                        "s=ARGV[1]..bin(tonumber(t[1]),tonumber(t[2]))\n"
                                        "redis.call('SET',KEYS[1],s)\n"
                                        "return s\n";

/*
 * drop: keys of a namespace that is being removed, while it is
 *
 * KEYS     the schema record, then keys
 * ARGV     what the record says then
 * Answer   how many went; -1: it is not being removed any more
 */
static const char drop_text[] = "if redis.call('GET',KEYS[1])~=ARGV[1] then return -1 end\n"
                                "local n=0\n"
                                "for i=2,#KEYS do n=n+redis.call('UNLINK',KEYS[i]) end\n"
                                "return n\n";

/*
 * swap: the schema record from one text to another
 *
 * KEYS     the schema record
 * ARGV     what it must say, what it says then
 * Answer   1: so it was
 */
static const char swap_text[] = "if redis.call('GET',KEYS[1])~=ARGV[1] then return 0 end\n"
                                "redis.call('SET',KEYS[1],ARGV[2])\n"
                                "return 1\n";

const struct rd_script rd_script_texts[RD_SCRIPTS] = {
    [RD_SCRIPT_COMMIT] = { "commit", commit_text, "" },
    [RD_SCRIPT_APPEND] = { "append", append_text, "" },
    [RD_SCRIPT_LOOK] = { "look", look_text, "" },
    [RD_SCRIPT_EXTEND] = { "extend", extend_text, "" },
    [RD_SCRIPT_RING] = { "ring", ring_text, "" },
    [RD_SCRIPT_READ] = { "read", read_text, "" },
    [RD_SCRIPT_SEEN] = { "seen", seen_text, "" },
    [RD_SCRIPT_DROP] = { "drop", drop_text, "" },
    [RD_SCRIPT_SWAP] = { "swap", swap_text, "" },
};
